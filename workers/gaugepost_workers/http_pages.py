"""The HTTP port of a process: `/metrics` for Prometheus, `/healthz` for probes."""

from __future__ import annotations

import socket
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client import CollectorRegistry

    from gaugepost_workers.liveness import Health

_TEXT = [("Content-Type", "text/plain; charset=utf-8")]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without a DNS lookup of this machine's name, which http.server would make."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = 20  # a silent client must not keep a thread for ever

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing: probes come every few seconds."""


def serve_pages(registry: CollectorRegistry, address: str, port: int, check: Callable[[], Health]) -> WSGIServer:
    """Serve both pages from a thread of their own. Raises OSError if another process has the port."""
    family, *_, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    kind = type("Server", (_Server,), {"address_family": family})
    server: WSGIServer = kind((str(place[0]), port), _Handler)
    server.set_app(_pages(registry, check))
    threading.Thread(target=server.serve_forever, name="pages", daemon=True).start()
    return server


def _pages(registry: CollectorRegistry, check: Callable[[], Health]) -> Any:  # noqa: ANN401 - a WSGI application
    metrics = make_wsgi_app(registry)

    def pages(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/healthz":
            shown: Iterable[bytes] = metrics(environ, start)
            return shown
        health = check()
        start("200 OK" if health.well else "503 Service Unavailable", list(_TEXT))
        return [f"{'well' if health.well else 'not well'}: {health.why}\n".encode()]

    return pages
