"""The workers' part of operations: collect the jobs that match, and change them in steps."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed, InvalidJob
from gaugepost.ledger.chunks import chunks
from gaugepost.ledger.indexing import MOST_ARRIVALS, index_arrivals
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import STATES, Action, Operation, read_operation
from gaugepost.ledger.reference_query import Place, find_hashes_call
from gaugepost.ledger.references import has_hashes
from gaugepost.ledger.scripts import Call
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gaugepost.ledger.edits import Edits
    from gaugepost.ledger.ledger import Ledger
    from gaugepost.ledger.listing import Listing
    from gaugepost.ledger.scripts import Argument, Runner
    from gaugepost.ledger.views import JobView

AT_ONCE = 200
LEASE_MS = 10_000
_SAVED_S = 2
"""For how many seconds operate.lua makes up for a late step."""
_SECONDS = 0.4
"""How long operations may take at a tick: a tick each second must leave time for deliveries."""
_ACTIONS = frozenset(Action)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: in the list `names[0]`, behind `place`. `names`: the lists that are not read yet."""

    names: tuple[str, ...]
    place: tuple[float, str] | int | None = None

    def to_json(self) -> str:
        """Return the form that the operation's row stores."""
        return json.dumps([self.names, self.place])

    @classmethod
    def from_json(cls, text: str) -> Cursor:
        """Parse the form of `to_json`."""
        names, place = json.loads(text)
        return cls(tuple(names), tuple(place) if isinstance(place, list) else place)


class OperationRunner:
    """Carries out the operations of a region."""

    def __init__(self, ledger: Ledger, run: Runner, listing: Listing) -> None:
        self._ledger = ledger
        self._run = run
        self._listing = listing
        self._calls = ledger.producer_calls

    def run(self, worker: str, seconds: float = _SECONDS) -> None:
        """Carry out steps of all operations that their rates and other workers allow, for about this time."""
        ends, more, taken = time.monotonic() + seconds, True, False
        while more and time.monotonic() < ends:
            rows = self._take(worker, LEASE_MS)
            taken |= bool(rows)
            steps = [self._step(operation, cursor) for operation, cursor in rows]  # a step of each, not until the first
            more = any(steps)
        if taken:
            self._take(worker, 0)

    def _take(self, worker: str, lease_ms: int) -> list[tuple[Operation, str]]:
        """Lease operations; return each with its cursor. `lease_ms` 0: release them."""
        region = str(self._calls.keys.region)

        def read(answer: list[list[Any]]) -> list[tuple[Operation, str]]:
            rows = [(name.decode(), dict(zip(flat[::2], flat[1::2], strict=True))) for name, flat in answer]
            return [(read_operation(name, region, row), row.get(b"cursor", b"").decode()) for name, row in rows]

        return self._run(Call("operation_take", self._calls.queues[:1], [worker, lease_ms], read))

    def _step(self, operation: Operation, cursor: str) -> bool:
        """Carry out one step. Return whether the next one can follow at once."""
        job_filter = _filter_of(operation)
        if job_filter is None:
            return False
        if operation.is_collecting:
            return self._collect(operation, job_filter, cursor)
        return self._apply(operation)

    # Collecting

    def _collect(self, operation: Operation, job_filter: JobFilter, cursor: str) -> bool:
        """Add the matching jobs of one page to the operation.

        Return False if the index does not have all jobs yet, or if this worker lacks the key of a job that it found:
        a worker with the key collects them.
        """
        if job_filter.references:
            page = self._page_of_index(job_filter, cursor)
        else:
            page = self._page(Cursor.from_json(cursor) if cursor else Cursor(self._lists(job_filter)))
        if page is None:
            return False
        ids, following = page
        states = STATES[Action(operation.action)]
        views = [view for view in self._ledger.read(ids) if view is not None and view.state in states]
        if job_filter.references and any(view.sealed for view in views):
            return False
        found = {view.id: view.stamp for view in views if self._matches(view, job_filter)}
        args: list[Argument] = [operation.id, cursor, following.to_json() if following.names else ""]
        args += (part for job_id, stamp in found.items() for part in (stamp, job_id))
        self._run(Call("operation_collect", self._calls.queues[:1], args, bool))
        return True

    def _lists(self, job_filter: JobFilter) -> tuple[str, ...]:
        return tuple(self._listing.names(job_filter.state)) if job_filter.state is not None else ()

    def _matches(self, view: JobView, job_filter: JobFilter) -> bool:
        return job_filter.matches(view) and has_hashes(view, job_filter.references, self._calls.cipher)

    def _page_of_index(self, job_filter: JobFilter, cursor: str) -> tuple[list[str], Cursor] | None:
        """Return the next page of jobs with the first reference, newest first; None if jobs are not indexed yet.

        Jobs that arrive after the first page are newer than its cursor and do not belong to the operation.
        """
        (sort, hashes), before = job_filter.references[0], Cursor.from_json(cursor).place if cursor else None
        is_behind = index_arrivals(self._calls.keys, self._run) >= MOST_ARRIVALS
        if is_behind and not cursor:
            return None
        place = Place(int(before[0]), before[1]) if isinstance(before, tuple) else None
        matches = self._run(find_hashes_call(self._calls.keys, sort, hashes, place, AT_ONCE))
        if matches.unindexed and not cursor:  # the ticks of this version index them
            return None
        last = matches.found[-1] if len(matches.found) == AT_ONCE else None
        return [one.id for one in matches.found], Cursor(("index",), (last.stamp, last.id)) if last else Cursor(())

    def _page(self, cursor: Cursor) -> tuple[list[str], Cursor]:
        if not cursor.names:
            return [], cursor
        ids, place = self._listing.page(cursor.names[0], cursor.place, AT_ONCE)
        return ids, Cursor(cursor.names[1:]) if place is None else Cursor(cursor.names, place)

    # Applying

    def _apply(self, operation: Operation) -> bool:
        """Change the next jobs. Return whether the next step can follow at once."""
        entry = json.dumps(_entry(operation, int(time.time() * 1000)))
        args: list[Argument] = [operation.id, AT_ONCE, entry, Verdict.LOST_ANSWER]
        if operation.edited:
            try:
                edits = self._ledger.operations.edits_of(operation)
            except DataSealed:  # another worker may have the key
                return False
            if edits is not None:
                args += self._edited_jobs(operation, edits)
        return self._run(Call("operate", self._calls.queues, args, _read_more))

    def _edited_jobs(self, operation: Operation, edits: Edits) -> Iterator[str]:
        """Yield id and edit of the next jobs, in the form of operate.lua."""
        most = AT_ONCE if operation.rate is None else min(AT_ONCE, _SAVED_S * operation.rate)
        ids = self._ledger.operations.next_jobs(operation.id, most)
        views = zip(ids, self._ledger.read(ids), strict=True)
        rows = ((job_id, self._edit(view, edits)) for job_id, view in views)
        first: Sequence[tuple[str, str]] = next(chunks(rows, lambda row: len(row[1])), ())
        for row in first:
            yield from row

    def _edit(self, view: JobView | None, edits: Edits) -> str:
        """Return the edit of a job; or `!` and why it is skipped."""
        try:
            return "!gone" if view is None else self._calls.edit_argument(edits.of(view))
        except InvalidJob:
            return "!invalid"
        except DataSealed:
            return "!sealed"


def _read_more(answer: Sequence[int]) -> bool:
    return bool(answer[1])


def _filter_of(operation: Operation) -> JobFilter | None:
    """Return an operation's filter; None for an action or a filter of a newer version, which this one leaves alone."""
    if operation.action in _ACTIONS:
        with suppress(TypeError, ValueError):
            return JobFilter.from_dict(operation.filter)
    return None


def _entry(operation: Operation, at: int) -> Mapping[str, Any]:
    """Return the entry for the history of each job."""
    entry: dict[str, Any] = {"at": at, "by": operation.by, "why": operation.reason, "operation": operation.id}
    if operation.edited:
        entry["edited"] = sorted(operation.edited)
    match operation.action:
        case Action.REPLAY:
            return {"event": "replayed", **entry}
        case Action.SETTLE:
            return {"event": "settled", **entry, "as": operation.to}
        case _:
            return {"event": "cancelled", **entry}
