"""Fill a ledger for the measurement of the console (`console.py`), by the calls of services and of workers.

So indexes, counters and references are as gaugepost makes them. Only the history is written directly: it takes a day.
"""

from __future__ import annotations

import base64
import itertools
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.references import index_all, jobs
from gaugepost import CloseLoop, File, Producer, Record, Region
from gaugepost.ledger import Settlement, WorkerLedger
from gaugepost.ledger.audit import AuditEntry
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action
from gaugepost.states import JobState
from gaugepost.transitions import Attempt, Dead, Decision, Delivered, Held, HoldSpec, Parked, Unknown
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gaugepost.ledger import Claimed

WORKER = "bench"
CAUSES = tuple(
    (verdict, f"mapping-{n}")
    for verdict in (Verdict.MISSING_FIELD, Verdict.INVALID_VALUE, Verdict.DUPLICATE, Verdict.UNRECOGNISED_400)
    for n in range(3)
)
OF_A_BATCH = 100
MINUTES, QUARTERS = 75, 96
_STEP = 50_000
_AT_ONCE = 200
_PROBE_MS = (36_000_000,)
"""No probe is due while the benchmark runs: one that is delivered would lift its hold."""
_MESSAGE = "The given data was invalid: the field Email is missing or has a wrong form."


@dataclass(frozen=True)
class Sizes:
    """How many of each to write. `jobs`: all of them."""

    jobs: int = 1_000_000
    dead: int = 10_000
    holds: int = 1_000
    of_a_hold: int = 20
    batches: int = 120
    operations: int = 120
    audit: int = 10_000
    files: int = 200
    cases: int = 1_000
    parked: int = 6_000
    unknown: int = 300
    scheduled: int = 5_000
    queued: int = 200_000

    def scaled(self, by: float) -> Sizes:
        """Return all sizes multiplied by `by`, each at least 12."""
        return replace(self, **{name: max(12, int(number * by)) for name, number in vars(self).items()})


class Filler:
    """Fills one region."""

    def __init__(self, producer: Producer, client: Any, sizes: Sizes, log: Callable[[str], None]) -> None:
        self.producer, self._client, self._sizes, self._log = producer, client, sizes, log
        self.ledger = WorkerLedger(client, Region.EU, producer.settings)
        self._tokens = itertools.count()
        self._made = 0

    def fill(self) -> None:
        """Write everything. What stays queued comes last: all that is queued before is claimed."""
        sizes = self._sizes
        for number, (verdict, configuration) in enumerate(CAUSES):
            share = sizes.dead // len(CAUSES) + (sizes.dead % len(CAUSES) if number == 0 else 0)
            self._put(_records(share, configuration))
            self._settle(lambda one, verdict=verdict: _dead(one, verdict))
        self._put(_records(sizes.unknown, "mapping-0"))
        self._settle(lambda one: Settlement(one, Decision(Unknown("lost_answer")), (_attempt(Verdict.LOST_ANSWER),)))
        self._put(_records(sizes.parked, "mapping-1"))
        failed = Decision(Parked(36_000_000, Verdict.SERVER_ERROR.value))
        self._settle(lambda one: Settlement(one, failed, (_attempt(Verdict.SERVER_ERROR, 500),)))
        self._holds()
        self._batches()
        self._delivered()
        self._open()
        self._people()
        self._history()

    def _put(self, some: Iterable[Any], **together: Any) -> None:
        self._made += len(self.producer.enqueue_many(some, **together))
        index_all(self.producer)

    def _claim(self, most: int = _AT_ONCE) -> list[Claimed]:
        return self.ledger.claim(WORKER, f"call-{next(self._tokens)}", most, most).jobs

    def _settle(self, settlement: Callable[[Claimed], Settlement]) -> None:
        """Claim all jobs that are ready, and settle each."""
        while claimed := self._claim():
            self.ledger.settle([settlement(one) for one in claimed])

    def end_some(self, number: int) -> None:
        """Enqueue and deliver jobs, and tick, as services and workers do while people look at the console."""
        self._put(_records(number, "mapping-2"))
        self.ledger.settle([_delivered(one) for one in self._claim(number)])
        self.ledger.alive(WORKER, 60, "", {"promote": 1.0})
        for tick in (self.ledger.promote, self.ledger.index, self.ledger.sweep):
            tick()

    def _holds(self) -> None:
        """Open a hold on each configuration by its first job, as an unknown mapping does; the others wait behind it."""
        names = [f"unknown-{n:04}" for n in range(self._sizes.holds)]
        self._put(one for name in names for one in _records(1, name))
        self._settle(_held)
        self._put(one for name in names for one in _records(self._sizes.of_a_hold - 1, name))
        while self.ledger.summary()["queued"]:
            assert not self._claim(), "a job under a hold was claimed"
        self._log(f"{len(self.ledger.holds()):,} holds")

    def _batches(self) -> None:
        for n in range(self._sizes.batches):
            self._put(_records(OF_A_BATCH, "mapping-2"), batch=f"campaign-{n:04}")
            self._settle(_delivered)
        self._put(_records(OF_A_BATCH, "mapping-2"), batch="stopped", canary=20, tolerance=5)
        self._settle(lambda one: _dead(one, Verdict.MISSING_FIELD))
        self.ledger.promote()

    def _delivered(self) -> None:
        """Deliver as many as are left, in steps, so that the index follows as it does behind workers."""
        sizes = self._sizes
        kept = sizes.queued + sizes.scheduled + 2 * sizes.cases + sizes.files
        found = jobs(sizes.jobs)
        while (left := sizes.jobs - kept - self._made) > 0:
            self._put(itertools.islice(found, min(left, _STEP)))
            self._settle(_delivered)
            self._log(f"{self._made:,} jobs")

    def _open(self) -> None:
        """Write what has not ended."""
        sizes = self._sizes
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        self._put(one.model_copy(update={"deliver_at": tomorrow}) for one in _records(sizes.scheduled, "later"))
        cases = (CloseLoop(region=Region.EU, number_customergauge=str(10**8 + n % sizes.cases), status=status)
                 for status in ("open", "closed") for n in range(sizes.cases))  # fmt: skip
        self._put(cases)
        self._put(_file(n) for n in range(sizes.files))
        self._put(one.model_copy(update={"source": f"service-{n % 20}"})
                  for n, one in enumerate(_records(sizes.queued, "mapping-2")))  # fmt: skip
        self.ledger.alive(WORKER, 60, "", {"promote": 1.0})

    def _people(self) -> None:
        """Write operations and the audit trail."""
        for n in range(self._sizes.operations):
            wanted = JobFilter(state=JobState.DEAD, verdict=str(CAUSES[n % len(CAUSES)][0]))
            started = self.ledger.operations.start(
                Action.REPLAY, wanted, by=f"operator-{n % 7}", reason="the mapping was mended", limit=100
            )
            self.ledger.operations.abort(started.id)
        for n in range(self._sizes.audit):
            entry = AuditEntry(f"operator-{n % 7}", ("replay", "cancel", "hold", "resume")[n % 4], "eu", "state=dead",
                               n, "the outage is over")  # fmt: skip
            self.ledger.audit.write(entry)

    def _history(self) -> None:
        seconds, _ = self._client.time()
        minute = seconds // 60 * 60_000
        for name, number, step in (("history_minutes", MINUTES, 60_000), ("history_quarters", QUARTERS, 900_000)):
            newest = minute - step if name == "history_minutes" else seconds // 900 * 900_000 - step
            rows = [_period(newest - n * step) for n in range(number)]
            self._client.delete(self.ledger.keys[name])
            self._client.rpush(self.ledger.keys[name], *map(json.dumps, rows))


def _period(at: int) -> dict[str, Any]:
    latency = {str(bucket): 1 + at // 60_000 * bucket % 97 for bucket in range(16, 56)}
    ended = {"delivered": sum(latency.values()), "dead": at // 60_000 % 7}
    return {"at": at, **ended, "waiting": 200_000, "latency": latency}


def _records(number: int, configuration: str) -> Iterable[Record]:
    return (one.model_copy(update={"configuration": configuration, "idempotency_key": None}) for one in jobs(number))


def _file(number: int) -> File:
    text = "Email,Account Name,NPS Score\n" + f"p{number}@example.net,ACME,9\n" * 20
    content = base64.b64encode(text.encode()).decode()
    return File(region=Region.EU, family="transactional", filename=f"orders-{number:04}.csv", content_base64=content)


def _attempt(verdict: Verdict, status: int | None = None, message: str = "", **more: Any) -> Attempt:
    return Attempt(n=1, at=int(datetime.now(UTC).timestamp() * 1000), ms=180, status=status, verdict=verdict,
                   message=message, **more)  # fmt: skip


def _delivered(one: Claimed) -> Settlement:
    return Settlement(one, Decision(Delivered()), (_attempt(Verdict.DELIVERED, 200),))


def _dead(one: Claimed, verdict: Verdict) -> Settlement:
    attempt = _attempt(verdict, 422, _MESSAGE, field_errors={"Email": ["The field Email is missing."]})
    return Settlement(one, Decision(Dead(verdict)), (attempt,))


def _held(one: Claimed) -> Settlement:
    scope, verdict = f"configuration:{one.job.configuration}", Verdict.UNKNOWN_MAPPING
    hold = HoldSpec(scope, verdict.value, verdict, _PROBE_MS, 172_800_000)
    decision = Decision(Held(scope, verdict.value, 172_800_000), hold=hold)
    return Settlement(one, decision, (_attempt(verdict, 404),))
