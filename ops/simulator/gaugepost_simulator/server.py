"""Run the server until a signal or the end of its parent process."""

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
    """Where to listen, and when to end.

    ``port``: 0 takes a free port. ``allow_remote_control``: let other machines use the control API. ``parent``: id of
    the process whose end stops the server.
    """

    host: str = "127.0.0.1"
    port: int = 0
    allow_remote_control: bool = False
    parent: int | None = None


async def serve(knobs: Knobs, options: ServeOptions, listening: Callable[[str], None]) -> None:
    """Serve until SIGTERM, SIGINT or the end of the parent. Call ``listening`` with the URL when ready."""
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
    # A killed parent sends no signal, but its child gets another parent process.
    while parent is None or os.getppid() == parent:
        try:
            await asyncio.wait_for(stop.wait(), None if parent is None else _PARENT_CHECK_SECONDS)
        except TimeoutError:
            continue
        return
