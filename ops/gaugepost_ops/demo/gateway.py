"""Call the demo's HTTP gateway, as a service in any language does, and write the same call as a line of curl."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from importlib.util import find_spec
from shlex import join
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.api_keys import ApiKey, Scope, digest_of, new_secret
from gaugepost.ledger.ledger import now_ms
from gaugepost.ledger.users import Role, User
from gaugepost.regions import Region
from gaugepost_ops.demo.control import DIRECT, TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.client import Producer

_PACKAGES = ("argon2", "fastapi", "jinja2", "starlette", "uvicorn")
_NAME = "demo"
_LINK_MS = 86_400_000


def is_installed() -> bool:
    """Return whether the extra `web` is installed. Without it the demo runs without the gateway."""
    return all(find_spec(name) is not None for name in _PACKAGES)


def store_key(producer: Producer) -> str:
    """Create a key with all scopes in all regions, and return it. It ends with the demo's Redis."""
    secret = new_secret()
    key = ApiKey(
        _NAME, digest_of(secret), tuple(Scope), tuple(map(str, Region)), source=_NAME, created=now_ms(), by=_NAME
    )
    for region in Region:
        producer.ledger(region).api_keys.put(key)
    return secret


def sign_in_link(producer: Producer, url: str) -> str:
    """Return a link that signs a person in to the demo's console once, as an admin. The password is random."""
    from gaugepost_ops.passwords import hash_password  # noqa: PLC0415 - the extra `web`

    user = User(_NAME, Role.ADMIN, hash_password(new_secret()), created=now_ms(), by=_NAME)
    for region in Region:
        producer.ledger(region).users.put(user)
    link = f"{Region.EU}.{new_secret()}"
    producer.ledger(Region.EU).users.put_link(link, _NAME, _LINK_MS)
    return f"{url}/sign-in?link={link}"


@dataclass(frozen=True, slots=True)
class GatewayCalls:
    """The address of the gateway, a key for it, and a link that signs in to its console."""

    url: str
    key: str
    link: str

    def enqueue(self, job: Mapping[str, Any]) -> str:
        """Send a job as `curl_line` does, and return its id. Raises OSError if it is refused."""
        request = urllib.request.Request(  # noqa: S310 - our own
            f"{self.url}/v1/jobs", json.dumps(job).encode(), dict(line.split(": ") for line in self._headers())
        )
        with DIRECT.open(request, timeout=TIMEOUT_S) as answer:
            return str(json.load(answer)["id"])

    def curl_line(self, job: Mapping[str, Any]) -> str:
        """Return a line for a shell that sends this job."""
        direct = ["--noproxy", "*"] if urllib.request.getproxies() else []
        headers = [word for line in self._headers() for word in ("-H", line)]
        return join(["curl", "-sS", *direct, f"{self.url}/v1/jobs", *headers, "-d", json.dumps(job)])

    def _headers(self) -> list[str]:
        return [f"Authorization: Bearer {self.key}", "Content-Type: application/json"]
