"""Why jobs are stuck: each region's dead, unknown and parked jobs, grouped by cause.

Reading 10,000 jobs takes seconds, and a page must not. So a thread reads them at a slow pace, and remembers the cause
of each job by its id and time: the next reading has to read only the jobs that are new. Pages show what the last
reading found, and when that was. Jobs under holds are counted by the holds, and are not read.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from gaugepost.errors import StoreError
from gaugepost.ledger.scripts import Call
from gaugepost.states import JobState
from gaugepost_ops.cli.jobs.groups import SCHEDULED, Fault, Group
from gaugepost_ops.web.console.people import version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gaugepost.ledger import Hold, JobView, Ledger
    from gaugepost.ledger.scripts import Argument
    from gaugepost.regions import Region
    from gaugepost_ops.web.gateway import Gateway
    from gaugepost_ops.web.stopping import Stopping

FRESH_S = 3.0
MOST = 20_000
"""How many jobs of each state are read, the newest; the rest are only counted."""
_STEP = 50
_PAUSE_S = 0.01
_FIRST_WAIT_S = 0.12
"""A page waits so long for the first reading."""
_MOST_CAUSES = 1_000

Seen = tuple[Fault, int]


@dataclass(frozen=True, slots=True)
class HeldCause:
    """A hold, and how many jobs it has parked."""

    hold: Hold
    count: int


@dataclass(frozen=True)
class RegionCauses:
    """The causes of one region, that of the most jobs first. `at`: when they were read, Unix ms.

    `total`: how many dead, unknown and parked jobs there are; `read`: how many of them are in the causes. `is_whole`:
    the reading has ended. `holds`: jobs under holds are not read. None: Redis could not be reached. `digest`: of causes
    and holds, which may be thousands; "" until the reading has ended, since `read` changes meanwhile.
    """

    region: Region
    at: int
    causes: tuple[tuple[Fault, Group], ...] | None
    holds: tuple[HeldCause, ...] = ()
    total: int = 0
    read: int = 0
    is_whole: bool = True
    digest: str = ""

    @property
    def version(self) -> str:
        """A text that changes with what a page shows; with the time of the reading each 10 s."""
        return repr(
            (self.region, self.at // 10_000, self.total, self.read, self.is_whole, self.causes is None, self.digest)
        )


@dataclass(slots=True)
class _OfRegion:
    last: RegionCauses | None = None
    facts: object = None
    """What the last whole reading saw: if nothing of it has changed, the causes have not."""
    scopes: frozenset[str] = frozenset()
    held_since: int = 0
    """The half minute in which it was seen that holds were opened or lifted: they change the causes of parked jobs."""
    read_at: float = float("-inf")
    reading: asyncio.Task[None] | None = None
    seen: dict[tuple[str, int], Seen] = field(default_factory=dict)
    """The causes of jobs by their id and time. An attempt gives a job another time, and may give it another cause."""


class Causes:
    """The causes of all regions. One reading of a region runs at a time, however many pages ask."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, store = gateway, gateway.store
        self._thread = ThreadPoolExecutor(1, "causes")  # one region after another: pages come first
        self._regions = {region: _OfRegion() for region in store.settings.regions}

    async def read(self, only: Region | None = None) -> list[RegionCauses]:
        """Return what the last readings found, and start the next ones. A page is never late because of one."""
        wanted = {region: of for region, of in self._regions.items() if only in {None, region}}
        for region, of in wanted.items():
            is_idle = of.reading is None or of.reading.done()
            if is_idle and time.monotonic() - of.read_at > FRESH_S:
                of.reading = asyncio.create_task(self._read(region, of))
        first = [of.reading for of in wanted.values() if of.reading is not None and (of.last is None or not of.last.at)]
        if first:
            await asyncio.wait(first, timeout=_FIRST_WAIT_S)
        return [of.last or RegionCauses(region, 0, (), is_whole=False) for region, of in wanted.items()]

    async def _read(self, region: Region, of: _OfRegion) -> None:
        if region in self._gateway.callers.unreachable():  # the thread would wait for it, and others for the thread
            of.last, of.read_at = _away(region), time.monotonic()
            return
        try:
            reading = _Reading(self._gateway.store.blocking.ledger(region), of, self._gateway.stopping)
            await asyncio.get_running_loop().run_in_executor(self._thread, reading.run)
        except StoreError:
            of.last = _away(region)
        of.read_at = time.monotonic()


def _away(region: Region) -> RegionCauses:
    return RegionCauses(region, int(time.time() * 1000), None)


class _Reading:
    """One reading of a region, in a thread of its own."""

    def __init__(self, ledger: Ledger, of: _OfRegion, stopping: Stopping) -> None:
        self._ledger, self._of, self._stopping = ledger, of, stopping
        self._is_first = of.last is None
        self._causes: dict[Fault, Group] = {}
        self._read = 0

    def run(self) -> None:
        """Read the region. Raises StoreError."""
        holds = self._ledger.holds()
        kept = self._ledger.kept_by(list(holds))
        self._held = [HeldCause(hold, number) for hold, number in zip(holds.values(), kept, strict=True)]
        self._held.sort(key=lambda one: (-one.count, -one.hold.since))
        counts = self._ledger.summary({})  # without the explanations of 1,000 holds
        ready = counts["queued"] + counts["waiting"] if "" in holds else 0  # a region's hold keeps these, too
        parked = counts["parked"] - counts["scheduled"] - (sum(kept) - ready)
        self._total = counts["dead"] + counts["unknown"] + max(0, parked)
        if (scopes := frozenset(holds)) != self._of.scopes and _half_minute() != self._of.held_since:
            self._of.scopes, self._of.held_since = scopes, _half_minute()
        numbers = [counts[name] for name in ("unknown", "dead_by_verdict", "parked_by_reason")]
        facts = (holds, kept, numbers, self._ended(), _half_minute())
        last = self._of.last
        if facts == self._of.facts and last is not None and last.is_whole and last.causes is not None:
            self._of.last = replace(last, at=int(time.time() * 1000))
            return
        seen: dict[tuple[str, int], Seen] = {}
        for rows in self._rows(max(0, parked)):
            if self._stopping.is_set:  # the process ends, and would wait for this thread
                return
            seen |= self._faults(rows)
            self._read += len(rows)
            if self._is_first:
                self._publish(is_whole=False)
        self._of.seen, self._of.facts = seen, facts
        self._publish(is_whole=True)

    def _ended(self) -> list[tuple[str, int]]:
        """Return the newest dead job and the newest unknown one, each with its time."""
        newest = (next(_newest(self._ledger, state, 1), []) for state in (JobState.DEAD, JobState.UNKNOWN))
        return [row for rows in newest for row in rows]

    def _rows(self, parked: int) -> Iterator[list[tuple[str, int]]]:
        """Yield the ids of the jobs in steps, each with the time by which a new cause would be noticed."""
        for state in (JobState.DEAD, JobState.UNKNOWN):
            yield from _newest(self._ledger, state)
        due = islice(self._ledger.due_times(), min(parked, MOST))
        while step := list(islice(due, _STEP)):
            yield [(one, at + self._of.held_since) for one, at in step]

    def _faults(self, rows: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Seen]:
        known = {row: self._of.seen[row] for row in rows if row in self._of.seen}
        unread = [row for row in rows if row not in known]
        views = self._ledger.read([one for one, _ in unread]) if unread else []
        for row, view in zip(unread, views, strict=True):
            if view is not None and _is_stuck(view):
                known[row] = (Fault.of(view), view.ended_at or view.enqueued_at)
        for (job_id, _), (fault, at) in known.items():
            _add(self._causes, fault, job_id, at)
        if unread:
            time.sleep(_PAUSE_S)  # a thread of its own: other requests come first
        return known

    def _publish(self, *, is_whole: bool) -> None:
        found = sorted(self._causes.items(), key=lambda pair: (-pair[1].count, -pair[1].newest))
        copies = tuple((fault, replace(group)) for fault, group in found)  # this thread goes on to count
        holds = tuple(self._held)
        self._of.last = RegionCauses(
            region=self._ledger.region,
            at=int(time.time() * 1000),
            causes=copies,
            holds=holds,
            total=self._total,
            read=self._read,
            is_whole=is_whole,
            digest=version_of(copies, holds) if is_whole else "",
        )


def _half_minute() -> int:
    """Return a number that changes each 30 s."""
    return int(time.time() // 30)


def _newest(ledger: Ledger, state: JobState, step: int = _STEP) -> Iterator[list[tuple[str, int]]]:
    """Yield the newest jobs of a state, each with the time at which it ended: one that died again has a new one."""
    newest, done, at_newest = "+inf", 0, Counter[int]()
    while done < MOST:
        skipped = 0 if newest == "+inf" else at_newest[int(newest)]  # jobs that ended in one millisecond
        args: list[Argument] = [str(state), newest, "-inf", skipped, step]
        flat = ledger._run(Call("page", (ledger.keys.prefix,), args, list))  # noqa: SLF001 - as `Queries.page` does
        rows = [(one.decode(), int(float(at))) for one, at in zip(flat[::2], flat[1::2], strict=True)]
        if rows:
            yield rows
        done += len(rows)
        if len(rows) < step:
            return
        if newest == "+inf" or rows[-1][1] != int(newest):
            at_newest = Counter(at for _, at in rows)
        else:
            at_newest.update(at for _, at in rows)
        newest = str(rows[-1][1])


def _is_stuck(view: JobView) -> bool:
    """Return whether a job counts: not one that only waits for its time, and not one that a hold counts."""
    if view.state is JobState.PARKED:
        return view.hold is None and (view.reason != SCHEDULED or view.late is not None)
    return view.state in {JobState.DEAD, JobState.UNKNOWN}


def _add(causes: dict[Fault, Group], fault: Fault, job_id: str, at: int) -> None:
    if fault not in causes and len(causes) >= _MOST_CAUSES:
        return
    group = causes.setdefault(fault, Group())
    group.count += 1
    if at >= group.newest:
        group.newest, group.example = at, job_id
