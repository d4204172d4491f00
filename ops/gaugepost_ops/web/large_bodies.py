"""Large bodies: how much memory all of them take together, and who parses them.

A thread parses one large body at a time, so that other requests go on, and because JSON may take 30 times its length.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

T = TypeVar("T")

LARGE = 64_000
"""Bytes. uvicorn holds so much of a body itself, and the event loop parses it in less than a millisecond."""
MOST_BYTES = 64_000_000
_HELD = "gaugepost.held"


class LargeBodies:
    """The large bodies of one process. Only the event loop's thread may use it."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._held = 0
        self._turn = asyncio.Lock()

    def hold(self, request: MutableMapping[str, Any], added: int) -> None:
        """Count further bytes of the body of a request. Raises Refused (503) if there is no memory for them."""
        if self._held + added > self._most:
            detail = "the gateway reads too many large bodies at once: try again, or send the jobs as JSON lines"
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "2"})
        self._held += added
        request[_HELD] = request.get(_HELD, 0) + added

    def release(self, request: MutableMapping[str, Any]) -> None:
        """Count the body of an answered request no longer."""
        self._held -= request.pop(_HELD, 0)

    async def parse(self, body: bytes, parsed: Callable[[], T]) -> T:
        """Return what `parsed` makes of a body; if it is large, in a thread, one after another."""
        if len(body) <= LARGE:
            return parsed()
        async with self._turn:
            return await asyncio.to_thread(parsed)


BODIES = LargeBodies()
