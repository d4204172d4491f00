"""The running server: sockets, signals, and an end when nobody needs it any more."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from gaugepost_simulator.connection import ServerDelegate
from gaugepost_simulator.control import Control
from gaugepost_simulator.knobs import Knobs
from gaugepost_simulator.service import Service
from gaugepost_simulator.state import SimulatorState

_MAX_BODY = 64 * 1024 * 1024
_BACKLOG = 1024
_PARENT_CHECK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where to listen, whom to let control, and which process to outlive not."""

    host: str = "127.0.0.1"
    port: int = 0
    allow_remote_control: bool = False
    parent: int | None = None


async def serve(knobs: Knobs, options: ServeOptions, listening: Callable[[str], None]) -> None:
    """Serve until SIGTERM, SIGINT or the parent's end; ``listening`` is called with the URL."""
    state = SimulatorState(knobs)
    service = Service(state, Control(state, remote=options.allow_remote_control))
    server = HTTPServer(ServerDelegate(service.accept), max_body_size=_MAX_BODY, max_buffer_size=_MAX_BODY)
    sockets = bind_sockets(options.port, options.host, backlog=_BACKLOG)
    server.add_sockets(sockets)
    stop = _stop_event()
    host = f"[{options.host}]" if ":" in options.host else options.host
    listening(f"http://{host}:{sockets[0].getsockname()[1]}")
    await _until(stop, options.parent)
    server.stop()
    await server.close_all_connections()


def _stop_event() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _until(stop: asyncio.Event, parent: int | None) -> None:
    # A parent that was killed can not tell; its child is then given to another process.
    while parent is None or os.getppid() == parent:
        try:
            await asyncio.wait_for(stop.wait(), None if parent is None else _PARENT_CHECK_SECONDS)
        except TimeoutError:
            continue
        return
