"""A minimal OpenID provider: it logs every visitor in as `email`, and redirects back."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit


class OpenIdProvider:
    """Serves the four addresses that a login needs, on a free port of this machine."""

    client_id = "flower-of-the-tests"
    client_secret = "only-flower-knows-this"

    def __init__(self) -> None:
        self.email = ""
        self.verified = True
        self.codes: set[str] = set()
        self.tokens: set[str] = set()
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}/realm"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    provider: OpenIdProvider

    def do_GET(self) -> None:
        ours, address = self.provider, urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path == "/realm/.well-known/openid-configuration":
            ends = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
            self._say({"issuer": ours.issuer} | {f"{n}_endpoint": f"{ours.issuer}/{path}" for n, path in ends.items()})
        elif address.path == "/realm/authorize" and asked["client_id"] == ours.client_id:
            ours.codes.add(code := secrets.token_urlsafe())
            self.send_response(302)
            self.send_header(
                "Location", f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"
            )
            self.end_headers()
        elif address.path == "/realm/userinfo" and self.headers["Authorization"].removeprefix("Bearer ") in ours.tokens:
            self._say({"email": ours.email, "email_verified": ours.verified})
        else:
            self.send_error(400)

    def do_POST(self) -> None:
        ours = self.provider
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        asked = {name: values[0] for name, values in body.items()}
        if asked["client_secret"] != ours.client_secret or asked["code"] not in ours.codes:
            self.send_error(401)
            return
        ours.codes.remove(asked["code"])
        ours.tokens.add(token := base64.b64encode(secrets.token_bytes()).decode())
        self._say({"access_token": token, "token_type": "Bearer"})

    def _say(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
