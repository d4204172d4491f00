"""Run the gateway by uvicorn. SIGTERM finishes what is in flight; what waits answers with the state as it is."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

import structlog
import uvicorn

from gaugepost_ops.web.app import Application
from gaugepost_ops.web.connection import Connection
from gaugepost_ops.web.scratch import Scratch

if TYPE_CHECKING:
    from types import FrameType

    from gaugepost.settings import Settings

log = structlog.get_logger("gaugepost.gateway")

GRACE_S = 25
"""Seconds for requests in flight after SIGTERM. Kubernetes and systemd give 30 s."""
MOST_CONNECTIONS = 10_000
_ONE_ADDRESS = (
    "GAUGEPOST_CONSOLE_URL names a proxy with TLS, but --proxy-headers is missing: all people at the console have the "
    "address of the proxy, so 20 wrong passwords delay the sign-in of all. Start the gateway with --proxy-headers"
)


class _Server(uvicorn.Server):
    """uvicorn's server. It notifies the gateway when it stops."""

    def __init__(self, config: uvicorn.Config, application: Application, scratch: Scratch) -> None:
        super().__init__(config)
        self._application = application
        self._scratch = scratch
        self._looked_at = 0.0

    async def on_tick(self, counter: int) -> bool:
        """Do what uvicorn does ten times a second. Each second, end the connections of clients that are too slow."""
        now = time.monotonic()
        if now - self._looked_at >= 1:
            self._looked_at = now
            self._scratch.ensure()
            for connection in tuple(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.end_if_overdue(now)
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Note SIGTERM or SIGINT. uvicorn then takes no new connection, and waits for the others.

        uvicorn's own handler would raise the signal again at the end, and the exit code would say that it was killed.
        """
        asyncio.get_running_loop().call_soon_threadsafe(self._application.gateway.stopping.set)
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _spare_garbage_collection() -> None:
    """Never look at what was imported again: each full collection of it stops all requests for tens of ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def run(settings: Settings, host: str, port: int, *, proxy_headers: bool) -> int:
    """Serve until SIGTERM. Return the exit code."""
    application = Application(settings)
    config = uvicorn.Config(
        application.asgi,
        host=host,
        port=port,
        http=partial(Connection, singles=application.single_jobs(proxy_headers=proxy_headers)),  # type: ignore[arg-type]
        loop="auto",
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=proxy_headers,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=MOST_CONNECTIONS,
        backlog=2048,
    )
    _spare_garbage_collection()
    log.info("serving", host=host, port=port)
    if not proxy_headers and (settings.console_url or "").startswith("https://"):
        log.warning("one address for all people", why=_ONE_ADDRESS)
    try:
        with Scratch() as scratch:
            server = _Server(config, application, scratch)
            server.run()
    except SystemExit:  # uvicorn has logged why it cannot listen
        return 1
    finally:
        application.access_log.flush()
    return 0 if server.started else 1
