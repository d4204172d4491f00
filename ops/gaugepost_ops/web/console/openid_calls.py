"""Ask an OpenID provider. It may be slow or away: that must stop no other request.

A process keeps the provider's document and its keys for some minutes. A few threads of their own ask it. A request
waits for them only for some seconds, and is refused at once if many wait already.
"""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import requests
import urllib3

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

KEPT_S = 300.0
"""Seconds for which the document and the keys are kept."""
ANSWER_S = 5.0
"""Seconds for which a call waits for the provider to connect, and to send something."""
DEADLINE_S = 10.0
"""Seconds for which a request waits for a step of a sign-in."""
MOST_AT_ONCE = 4
MOST_WAITING = 100
_LARGEST = 1_000_000
_CHUNK = 65_536
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_THREADS = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="openid")
_waiting: set[asyncio.Future[Any]] = set()


class ProviderFailed(Exception):  # noqa: N818 - it ends a sign-in
    """The provider failed, or its answer is not for this sign-in. The text is for the log, and has no secret."""


class ProviderAway(ProviderFailed):
    """The provider does not answer, or not in time."""


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a call in a thread of this module. Raises ProviderAway if it takes too long, or if too many wait."""
    if len(_waiting) >= MOST_WAITING:
        raise ProviderAway(f"{MOST_WAITING} sign-ins wait for the provider")
    running = asyncio.get_running_loop().run_in_executor(_THREADS, lambda: call(*args, **kwargs))
    _waiting.add(running)
    running.add_done_callback(_waiting.discard)
    try:
        return await asyncio.wait_for(running, DEADLINE_S)  # it cancels a call that has not begun
    except TimeoutError:
        raise ProviderAway(f"no answer within {DEADLINE_S:.0f} s") from None


class ProviderCalls:
    """The calls for one provider. Their methods wait for it: call them in a thread."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}

    def kept_document(self) -> dict[str, Any] | None:
        """Return the provider's document, if it was read in the last minutes."""
        until, found = self._kept.get("document", (0.0, None))
        return found if until > time.monotonic() else None

    def document(self) -> dict[str, Any]:
        """Return the provider's document, which has its addresses and its name as issuer. Raises ProviderFailed."""
        if (kept := self.kept_document()) is not None:
            return kept
        found = _json("GET", f"{self._issuer}/.well-known/openid-configuration")
        if str(found.get("issuer", "")).rstrip("/") != self._issuer:
            raise ProviderFailed("the provider's document names another issuer")
        if not all(isinstance(found.get(name), str) for name in _NEEDED):
            raise ProviderFailed(f"the provider's document lacks one of {', '.join(_NEEDED)}")
        self._kept["document"] = time.monotonic() + KEPT_S, found
        return found

    def keys(self, *, fresh: bool = False) -> dict[str, Any]:
        """Return the provider's keys; `fresh`: do not use those that were kept. Raises ProviderFailed."""
        until, found = self._kept.get("keys", (0.0, {}))
        if fresh or until <= time.monotonic():
            found = _json("GET", self.document()["jwks_uri"])
            self._kept["keys"] = time.monotonic() + KEPT_S, found
        return found

    def token(self, asked: dict[str, str], name: str, secret: str) -> dict[str, Any]:
        """Exchange a code for a token, as the client of this name. Raises ProviderFailed."""
        return _json("POST", self.document()["token_endpoint"], data=asked, auth=(name.encode(), secret.encode()))


def _json(method: str, url: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - arguments of requests
    """Return the JSON object of an answer. Raises ProviderFailed."""
    try:
        with requests.request(method, url, timeout=ANSWER_S, allow_redirects=False, stream=True, **more) as answer:
            body = _read(answer)
        found = json.loads(body)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise ProviderAway(type(error).__name__) from None
    except (ValueError, RecursionError) as error:
        raise ProviderFailed(type(error).__name__) from None
    if not isinstance(found, dict):
        raise ProviderFailed("the provider's answer is no JSON object")
    return found


def _read(answer: requests.Response) -> bytes:
    """Return the body of an answer that is neither an error, nor too large, nor too slow."""
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ProviderAway(f"status {answer.status_code}")
    if answer.status_code != HTTPStatus.OK:
        raise ProviderFailed(f"status {answer.status_code}")
    body, until = b"", time.monotonic() + ANSWER_S
    # Not iter_content(): it waits for a whole chunk, also of a provider that sends a byte a second.
    while chunk := answer.raw.read1(_CHUNK, decode_content=True):
        body += chunk
        if len(body) > _LARGEST:
            raise ProviderFailed("the provider's answer is too large")
        if time.monotonic() > until:
            raise ProviderAway("the provider's answer is too slow")
    return body
