"""A minimal OpenID provider: it logs every visitor in as `email`, and redirects back."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey


class OpenIdProvider:
    """Serves the four addresses that a login needs, on a free port of this machine."""

    client_id = "flower-of-the-tests"
    client_secret = "only-flower-knows-this"

    def __init__(self) -> None:
        self.email = ""
        self.verified: Any = True
        self.claims: dict[str, Any] = {}
        """Further claims of the token, or others in place of its own."""
        self.bodies: dict[str, bytes] = {}
        """Path → an answer in place of its own."""
        self.drips = False
        """Whether it answers a byte at a time, without end."""
        self.codes: dict[str, dict[str, str]] = {}
        self.key = RSAKey.generate_key(2048, {"kid": "1"}, private=True)
        self.tokens: set[str] = set()
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.base = f"http://127.0.0.1:{self._server.server_port}/realm"
        self.issuer = self.base

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _is_prover(begun: dict[str, str], asked: dict[str, str]) -> bool:
    """Return whether PKCE holds: the client that asks for the token began the sign-in."""
    verifier = asked.get("code_verifier", "")
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return begun.get("code_challenge") in {None, digest}


class _Handler(BaseHTTPRequestHandler):
    provider: OpenIdProvider

    def do_GET(self) -> None:
        ours, address = self.provider, urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path == "/realm/.well-known/openid-configuration":
            ends = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
            keys = {"issuer": ours.issuer, "jwks_uri": f"{ours.base}/jwks"}
            self._say(keys | {f"{n}_endpoint": f"{ours.base}/{path}" for n, path in ends.items()})
        elif address.path == "/realm/authorize" and asked["client_id"] == ours.client_id:
            ours.codes[code := secrets.token_urlsafe()] = asked
            self.send_response(302)
            self.send_header(
                "Location", f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"
            )
            self.end_headers()
        elif address.path == "/realm/jwks":
            self._say({"keys": [ours.key.as_dict(private=False)]})
        elif address.path == "/realm/userinfo" and self.headers["Authorization"].removeprefix("Bearer ") in ours.tokens:
            self._say({"email": ours.email, "email_verified": ours.verified})
        else:
            self.send_error(400)

    def do_POST(self) -> None:
        ours = self.provider
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        asked = {name: values[0] for name, values in body.items()}
        begun = ours.codes.pop(asked["code"], None)
        if begun is None or self._secret(asked) != ours.client_secret or not _is_prover(begun, asked):
            self.send_error(401)
            return
        ours.tokens.add(token := base64.b64encode(secrets.token_bytes()).decode())
        self._say({"access_token": token, "token_type": "Bearer", "id_token": self._id_token(begun)})

    def _secret(self, asked: dict[str, str]) -> str:
        given = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        return asked.get("client_secret") or given.partition(":")[2]

    def _id_token(self, begun: dict[str, str]) -> str:
        ours, now = self.provider, int(time.time())
        claims = {"iss": ours.issuer, "aud": ours.client_id, "sub": "1", "iat": now, "exp": now + 60}
        claims |= {"email": ours.email, "email_verified": ours.verified, "nonce": begun.get("nonce")}
        return jwt.encode({"alg": "RS256", "kid": str(ours.key.kid)}, claims | ours.claims, ours.key)

    def _say(self, answer: dict[str, Any]) -> None:
        body = self.provider.bodies.get(self.path) or json.dumps(answer).encode()
        if self.provider.drips:
            self._drip()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b" ")
                time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        pass
