"""`/jobs/{id}/events`: server-sent events for the open page of a job. A page without them asks every 2 s."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

from gaugepost.errors import StoreError
from gaugepost.ledger.users import Role
from gaugepost.states import JobState
from gaugepost_ops.web.console.job_facts import NO_JOB, is_job_id
from gaugepost_ops.web.console.people import person_of
from gaugepost_ops.web.console.routes import Console, console_of
from gaugepost_ops.web.problems import Refused
from gaugepost_ops.web.region_search import find_in_regions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from gaugepost.ledger import JobView
    from gaugepost_ops.web.gateway import Gateway

EVENTS_S = 60
"""Seconds after which a stream of events ends. The browser opens the next one, which asks for the session again."""
MOST_STREAMS = 100
"""Streams of one process at once: each reads its job twice a second, and keeps its connection."""
_LOOK_S = 0.5
_CHANGED, _ENDED, _AWAY = (f"event: {name}\ndata: \n\n" for name in ("changed", "ended", "away"))


class OpenStreams:
    """The number of open streams of this process."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self._most = most
        self._open = 0

    def enter(self) -> None:
        """Count one more. Raises Refused (503) if there are too many."""
        if self._open >= self._most:
            text = f"this gateway follows {self._most} open pages of jobs already: this page asks every 2 s instead"
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, text, headers={"Retry-After": str(EVENTS_S)})
        self._open += 1

    def leave(self) -> None:
        """Count one less."""
        self._open -= 1


class _Stream(StreamingResponse):
    """A stream that is counted until it has ended, in whatever way."""

    def __init__(self, events: AsyncIterator[str], streams: OpenStreams) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.leave()


def add_routes(console: Console) -> None:
    """Add the route of this module."""
    console.get("/jobs/{job_id}/events", partial(events, OpenStreams()), role=Role.VIEWER)


async def events(streams: OpenStreams, request: Request) -> Response:
    """Send an event when the job changes."""
    gateway, job_id = console_of(request).gateway, request.path_params["job_id"]
    read = partial(gateway.read_one, job_id=job_id)
    first = await find_in_regions(person_of(request), read, NO_JOB, is_id=is_job_id(job_id))
    streams.enter()
    return _Stream(_events(request, gateway, first), streams)


async def _events(request: Request, gateway: Gateway, last: JobView) -> AsyncIterator[str]:
    """Yield events until the job has ended or is gone, or the stream has lasted long enough.

    While Redis is away there is one event, and another one when it is back: the page then asks, and shows what it gets.
    """
    yield "retry: 1000\n\n" + _CHANGED  # perhaps it has, since the page was made or a stream ended
    ends, is_away = time.monotonic() + EVENTS_S, False
    while time.monotonic() < ends:
        if last.has_ended and last.state is not JobState.DEAD:
            yield _ENDED
            return
        await asyncio.sleep(_LOOK_S - time.monotonic() % _LOOK_S)  # all streams at once: one call reads all their jobs
        if gateway.stopping.is_set or await request.is_disconnected():
            return
        try:
            view = await gateway.read_one(last.region, last.id)
        except StoreError:
            if not is_away:
                yield _AWAY
            is_away = True
            continue
        if is_away or view is None or _facts(view) != _facts(last):
            yield _CHANGED
        if view is None:
            return
        last, is_away = view, False


def _facts(view: JobView) -> tuple[object, ...]:
    return view.state, view.until, view.history.entries
