"""The usual enqueue: one small job, whose body arrived in one piece. It is stored without a task of its own.

uvicorn's cycle of a request, its task and the messages of ASGI took a quarter of the CPU of an enqueue. This way takes
only jobs that it can store. Any other request goes the ordinary way (direct.py), also one that will be refused: so both
ways refuse alike. `connection.py` decides by what it knows of the connection, this module by head and body.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from gaugepost.errors import IdempotencyConflict
from gaugepost.ledger import Entry
from gaugepost.ledger.api_keys import Scope
from gaugepost_ops.web.bodies import fits
from gaugepost_ops.web.direct import problem_of
from gaugepost_ops.web.enqueue import JSON, stored_body, stored_headers
from gaugepost_ops.web.json_jobs import parse_one, permitted
from gaugepost_ops.web.large_bodies import LARGE
from gaugepost_ops.web.observed import ENQUEUE, KEY, ROUTE

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping, Sequence

    from gaugepost.ledger import Accepted
    from gaugepost_ops.web.callers import Caller
    from gaugepost_ops.web.gateway import Gateway
    from gaugepost_ops.web.observed import Observed

Head = dict[bytes, bytes]
"""The headers of a request, each of which it has once."""
_JSON = JSON.encode()
_ORDINARY = frozenset({b"transfer-encoding", b"upgrade"})
"""Requests with one of these headers go the ordinary way."""
_OF_PROXIES = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})


class _Unused:
    """An event that nothing waits for: a job is stored also when its client has gone."""

    def set(self) -> None:
        """Do nothing."""


_NOT_WAITED_FOR = _Unused()
"""One object for all requests. A reference to the request itself would leave each of them to garbage collection, which
then stops all others for 16 ms at a time.
"""


class Answers(Protocol):
    """The part of a connection that answers a request."""

    def answer(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, keep_alive: bool) -> None: ...


class SingleJobs:
    """Stores the single jobs of one process. `proxy_headers`: uvicorn reads those of proxies, in the ordinary way."""

    def __init__(self, gateway: Gateway, observed: Observed, *, proxy_headers: bool = False) -> None:
        self._gateway = gateway
        self._observed = observed
        self._ordinary = _ORDINARY | _OF_PROXIES if proxy_headers else _ORDINARY

    def head_of(self, headers: Sequence[tuple[bytes, bytes]]) -> Head | None:
        """Return the head of a request whose body may be a single job. None: it must go the ordinary way at once."""
        head = dict(headers)
        if len(head) < len(headers) or head.get(b"content-type") != _JSON or not head.keys().isdisjoint(self._ordinary):
            return None
        length, key = head.get(b"content-length", b""), head.get(b"idempotency-key", b"")
        if not (length.isdigit() and fits(length, LARGE) and key.isascii()):
            return None
        return head if self._caller(head) else None

    def _caller(self, head: Head) -> Caller | None:
        return self._gateway.callers.recent(head.get(b"authorization", b""), Scope.ENQUEUE)

    def take(self, connection: Answers, request: MutableMapping[str, Any], head: Head, body: bytes) -> SingleJob | None:
        """Begin to store the job of a request. Return None, and do nothing, if it must go the ordinary way."""
        started = time.perf_counter()
        caller, key = self._caller(head), head.get(b"idempotency-key")
        if caller is None or body[:1] != b"{":
            return None
        try:
            job = permitted(parse_one(body), caller, self._gateway.settings, None if key is None else key.decode())
            entry = Entry.of(job, self._gateway.store.mappings)
        except Exception:  # noqa: BLE001 - the ordinary way parses it again, and answers with the reason
            return None
        if entry.size > LARGE:
            return None
        request[ROUTE], request[KEY], request["method"] = ENQUEUE, caller.name, "POST"
        single = SingleJob(connection, request, entry, started, self._observed)
        self._gateway.commit_of(entry.job.region).add(entry, single)
        return single


class SingleJob:
    """A request whose job is being stored. To a connection it is uvicorn's cycle, to a group commit a future."""

    def __init__(
        self,
        connection: Answers,
        scope: MutableMapping[str, Any],
        entry: Entry,
        started: float,
        observed: Observed,
    ) -> None:
        self._connection = connection
        self._entry = entry
        self._started = started
        self._observed = observed
        self.scope = scope
        self.keep_alive = True
        """uvicorn sets it to False when it stops."""
        self.response_started = self.response_complete = self.disconnected = False
        self.message_event = _NOT_WAITED_FOR
        """What uvicorn sets when the client has gone."""

    def done(self) -> bool:
        """Return whether it is answered."""
        return self.response_complete

    def set_result(self, accepted: Accepted) -> None:
        """Answer that the job is stored, or that it conflicts."""
        if accepted.conflict:
            self.set_exception(IdempotencyConflict(accepted.id))
            return
        body = stored_body(self._entry, accepted)
        self._answer(200 if accepted.duplicate else 201, stored_headers(body, accepted), body)

    def set_exception(self, error: Exception) -> None:
        """Answer that the job was not stored, or perhaps not."""
        problem = problem_of(error)
        self._answer(problem.status_code, problem.raw_headers, bytes(problem.body))

    def _answer(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        self.response_started = self.response_complete = True
        if not self.disconnected:
            self._connection.answer(status, headers, body, keep_alive=self.keep_alive)
        self._observed.note(self.scope, status, time.perf_counter() - self._started)
