"""Enqueue all kinds of jobs in bulk, each with an idempotency key, and repeat a call after an error."""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gaugepost import CloseLoop, File, PersonalLink, Producer, Record, Region, Response, Settings, StoreError
from gaugepost.jobs import JobBase
from gaugepost.together import InBatch

BATCH = 60
_MAPPING = "multi-object"
_OPEN_CASES = 50
_CHANGES = 25
"""A case closes after this number of changes, and another case opens."""
_WEIGHTS = {"record": 46, "close_loop": 32, "personal_link": 14, "response": 8}
_DOOMED = 0.01
_COLD = 0.02
_COLD_NAMES = 40
_LATER = 0.1
_LATEST_S = 15
"""A tenth of the jobs has a deliver_at, at most this far ahead."""
_TOGETHER = 0.2
"""How many calls enqueue their jobs as a batch with a canary."""
_CANARY, _TOLERANCE = 8, 20
POISON, HOLD = "poison", "once"
"""Words in the address of a record that always fails, and of one that must not be sent twice."""
_BEGIN = datetime(2026, 1, 1)  # noqa: DTZ001 - CustomerGauge states no time zone


@dataclass(frozen=True, slots=True)
class Sent:
    """An accepted job, with what the audit needs to know."""

    id: str
    region: str
    kind: str
    case: str = ""
    turn: int = 0
    doomed: bool = False
    """CustomerGauge refuses the job, or always fails, so that it ends as dead."""
    once: bool = False
    """The job must not be sent twice unless an answer was lost."""
    due: float = 0.0
    """Unix time in seconds before which the job must not arrive."""


class Load(threading.Thread):
    """One producer that enqueues `rate` jobs a second until stopped, and repeats each call until it is accepted."""

    def __init__(self, name: str, settings: Settings, seed: int, rate: float, file_every: float) -> None:
        super().__init__(name=name, daemon=True)
        self.accepted: dict[str, Sent] = {}
        """Idempotency key → the job."""
        self.errors = 0
        self.second_jobs: list[str] = []
        """Keys that returned another job when a call was repeated."""
        self._settings = settings
        self._random = random.Random(seed)
        self._rate = rate
        self._file_every = file_every
        self._regions = [Region(region) for region in settings.regions]
        self._cases: list[tuple[Region, str, int]] = []
        self._made = 0
        self._last = threading.Event()

    def finish(self) -> None:
        """Make no more jobs, and wait until the started ones are accepted."""
        self._last.set()
        self.join(60)
        assert not self.is_alive(), f"{self.name} cannot enqueue: {self.errors} errors"

    def run(self) -> None:
        started = next_file = time.monotonic()
        with Producer(self._settings) as producer:
            while not self._last.is_set():
                jobs = [self._job() for _ in range(BATCH)]
                if time.monotonic() >= next_file:
                    next_file += self._file_every
                    jobs += [self._file(region) for region in self._regions]
                together = self._together()
                self._enqueue(producer, jobs, together)
                if self._random.random() < 0.05:
                    self._enqueue(producer, jobs, together)  # as a restarted service that repeats its work
                self._last.wait(started + self._made / self._rate - time.monotonic())

    def _together(self) -> InBatch:
        if self._random.random() >= _TOGETHER:
            return {}
        return {"batch": f"{self.name}.{self._made}", "canary": _CANARY, "tolerance": _TOLERANCE}

    def _enqueue(self, producer: Producer, jobs: Sequence[JobBase], together: InBatch) -> None:
        while True:
            try:
                receipts = list(producer.enqueue_many(jobs, **together))
                break
            except StoreError:
                self.errors += 1
                time.sleep(0.05)
        for job, receipt in zip(jobs, receipts, strict=True):
            self._keep(job, receipt.id)

    def _keep(self, job: JobBase, job_id: str) -> None:
        key = str(job.idempotency_key)
        case, turn = (job.number_customergauge, _turn(job)) if isinstance(job, CloseLoop) else ("", 0)
        once = job.on_unknown == "hold" or job.kind == "file"
        due = job.deliver_at.timestamp() if job.deliver_at else 0.0
        sent = Sent(job_id, str(job.region), job.kind, case, turn, "doomed" in job.labels, once, due)
        if self.accepted.setdefault(key, sent) != sent:
            self.second_jobs.append(key)

    # Jobs

    def _job(self) -> JobBase:
        kind = self._random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        return {
            "record": self._record,
            "close_loop": self._change,
            "personal_link": self._link,
            "response": self._response,
        }[kind]()

    def _key(self) -> str:
        self._made += 1
        return f"{self.name}-{self._made}"

    def _region(self) -> Region:
        return self._random.choice(self._regions)

    def _deliver_at(self) -> datetime | None:
        if self._random.random() >= _LATER:
            return None
        return datetime.now(UTC) + timedelta(seconds=self._random.uniform(1, _LATEST_S))

    def _is_doomed(self) -> bool:
        return self._random.random() < _DOOMED

    def _record(self) -> Record:
        key, doomed = self._key(), self._random.random() < _DOOMED / 5
        hold = self._random.random() < 0.1 and not doomed
        cells = {"Email": f"{key}{POISON if doomed else HOLD if hold else ''}@example.net", "NPS Score": "9"}
        return Record(
            region=self._region(), configuration=self._configuration(), record=cells, idempotency_key=key,
            on_unknown="hold" if hold else "retry", labels=("doomed",) if doomed else (), source=self.name,
            deliver_at=self._deliver_at(),
        )  # fmt: skip

    def _configuration(self) -> str:
        """Return a known configuration, or sometimes a new one that answers after a second."""
        if self._random.random() >= _COLD:
            return _MAPPING
        return f"slow-{1 + self._random.randrange(_COLD_NAMES) / 100}s"

    def _link(self) -> PersonalLink:
        key, doomed = self._key(), self._is_doomed()
        return PersonalLink(
            region=self._region(), configuration=_MAPPING, idempotency_key=key, labels=("doomed",) if doomed else (),
            record={"Email": f"{'duplicate' if doomed else key}@example.com"}, deliver_at=self._deliver_at(),
        )  # fmt: skip

    def _change(self) -> CloseLoop:
        key, doomed = self._key(), self._is_doomed()
        if len(self._cases) < _OPEN_CASES:
            self._cases.append((self._region(), str(self._random.randrange(10**8, 10**9)), 0))
        which = self._random.randrange(len(self._cases))
        region, case, turn = self._cases.pop(which)
        if turn < _CHANGES:
            self._cases.append((region, case, turn + 1))
        return CloseLoop(
            region=region, number_customergauge=case, status="progress", idempotency_key=key,
            note="simulate: 400" if doomed else f"change {turn}", labels=("doomed",) if doomed else (),
            happened_at=str(_BEGIN + timedelta(seconds=turn)), deliver_at=self._deliver_at(),
        )  # fmt: skip

    def _response(self) -> Response:
        key = self._key()
        cells = {"CustomerNumber": "1143", "Email": f"{key}@example.net"}
        return Response(
            region=self._region(),
            fields=cells,
            net_promoter_score=9,
            idempotency_key=key,
            deliver_at=self._deliver_at(),
        )

    def _file(self, region: Region) -> File:
        key = self._key()
        text = f"Email,Order\n{key}@example.net,1\n"
        content = base64.b64encode(text.encode()).decode()
        return File(
            region=region,
            family="transactional",
            filename=f"{key}.csv",
            content_base64=content,
            idempotency_key=key,
            deliver_at=self._deliver_at(),
        )


def _turn(job: CloseLoop) -> int:
    """Return the number of this change within its case, which must rise at CustomerGauge."""
    happened = datetime.fromisoformat(job.happened_at or "")
    return int((happened - _BEGIN).total_seconds())
