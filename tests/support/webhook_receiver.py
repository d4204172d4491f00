"""A receiver of webhooks over HTTP: it verifies them with the package `standardwebhooks` and remembers their ids."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from standardwebhooks import Webhook, WebhookVerificationError

from support.redis_server import free_port

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class Receiver:
    """Answers webhooks with `status`. `secrets`: those that verify; the first that fits counts.

    `received` counts each id, `effects` has the bodies by id: each id has one effect. `forged` counts refused requests.
    `lose_each`: it acts on each n-th request, and answers 500. `hook`: called with the id before the answer; it may
    block or return a status.
    """

    def __init__(self, *secrets: str, tls: ssl.SSLContext | None = None, port: int | None = None) -> None:
        self.secrets = list(secrets)
        self.status = 204
        self.location: str | None = None
        self.received: Counter[str] = Counter()
        self.effects: dict[str, dict[str, Any]] = {}
        self.raw: list[tuple[dict[str, str], bytes]] = []
        self.forged = 0
        self.lose_each = 0
        self.hook: Callable[[str], int | None] | None = None
        self.port = port or free_port()
        self._tls = tls
        self._lock = threading.Lock()
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/hook"

    def start(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver._take(dict(self.headers.items()), body)
                self.send_response(status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", self.port), Handler)
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        return self if self._server else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take(self, headers: dict[str, str], body: bytes) -> int:
        event = self._verified(headers, body)
        with self._lock:
            self.raw.append((headers, body))
            if event is None:
                self.forged += 1
                return 400
            event_id = headers["webhook-id"]
            self.received[event_id] += 1
        status = self.hook(event_id) if self.hook else None
        status = status or self.status
        is_lost = self.lose_each and self.received.total() % self.lose_each == 0
        if status < 300:
            with self._lock:
                self.effects[event_id] = event
        if is_lost:
            status = 500
        return status

    def _verified(self, headers: dict[str, str], body: bytes) -> dict[str, Any] | None:
        for secret in self.secrets:
            try:
                return Webhook(secret).verify(body, headers)  # type: ignore[no-any-return]
            except WebhookVerificationError:
                continue
        return None

    def events(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self.effects.values())
