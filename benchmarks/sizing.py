"""Measure Redis' memory for a job, by kind and state: `python -m benchmarks.sizing` (docs/sizing.md shows a run).

Each figure is the growth of `used_memory`, divided by the jobs: the job's hash, its entries in lists and sorted sets,
and its share of the table of keys. The script calls the ledger itself; nothing is sent. The index of `find` is left
out: its bytes for a job depend on the number of jobs (`python -m benchmarks.references`).
"""

from __future__ import annotations

import base64
import csv
import io
import sys
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from benchmarks import job
from gaugepost import CloseLoop, File, PersonalLink, Record, Region, Response, Settings
from gaugepost.ledger import Entry, Settlement, WorkerLedger
from gaugepost.ledger.webhook_outbox import Became
from gaugepost.ledger.webhook_records import MOST_OF_REGION, Endpoint, new_secret
from gaugepost.transitions import Attempt, Dead, Decision, Delivered, Parked
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gaugepost.jobs import JobBase
    from gaugepost.transitions import Transition

JOBS = 4_000
FILES = 200
EVENTS = 20_000
ROWS = 2_000
_AT_ONCE = 200
_MESSAGE = "The given data was invalid. The selected segment is not known to this account."
_LINK = "https://eu.survey.example/s/0123456789abcdef0123456789abcdef"


def _attempt(n: int, verdict: Verdict, status: int, message: str = "") -> Attempt:
    return Attempt(n=n, at=1_795_305_600_000, ms=180, status=status, verdict=verdict, message=message)


_FAILED = tuple(_attempt(n, Verdict.SERVER_ERROR, 500, "HTTP 500") for n in range(1, 6))
_TAKEN = (_attempt(1, Verdict.DELIVERED, 200),)
STATES: Mapping[str, tuple[Transition, tuple[Attempt, ...]]] = {
    "parked": (Parked(3_600_000, Verdict.SERVER_ERROR.value), _FAILED[:1]),
    "delivered": (Delivered(), _TAKEN),
    "delivered after 5 failures": (Delivered(), (*_FAILED, *_TAKEN)),
    "dead": (Dead(Verdict.INVALID_VALUE), (_attempt(1, Verdict.INVALID_VALUE, 422, _MESSAGE),)),
}
"""State → (transition, attempts) that lead there after the first claim."""


def _record(number: int) -> Record:
    return Record(region=Region.EU, **job.payload(number))


def _keyed(number: int) -> Record:
    return _record(number).model_copy(update={"idempotency_key": f"order-{number}", "source": "crm"})


def _link(number: int) -> PersonalLink:
    return PersonalLink(region=Region.EU, configuration="invitations", record={"Email": f"p{number:09}@example.net"})


def _change(number: int) -> CloseLoop:
    return CloseLoop(region=Region.EU, number_customergauge=str(10**8 + number), status="progress", note="x" * 100)


def _response(number: int) -> Response:
    fields = {"CustomerNumber": str(number), "Email": f"p{number:09}@example.net"}
    return Response(region=Region.EU, fields=fields, net_promoter_score=9, comment="x" * 200)


def _file(number: int) -> File:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("Email", "Account Name", "NPS Score", "Order"))
    rows.writerows(
        (f"p{number}.{row}@example.net", f"Account {row % 97}", row % 11, uuid.uuid4().hex) for row in range(ROWS)
    )
    content = base64.b64encode(text.getvalue().encode()).decode()
    return File(region=Region.EU, family="transactional", filename=f"{number}.csv", content_base64=content)


KINDS: Mapping[str, tuple[Callable[[int], JobBase], int]] = {
    "record, 500 bytes of JSON": (_record, JOBS),
    "the same, with an idempotency key and a source": (_keyed, JOBS),
    "personal link": (_link, JOBS),
    "case status, note of 100 characters": (_change, JOBS),
    "response, comment of 200 characters": (_response, JOBS),
    f"file, {ROWS:,} rows of 70 bytes": (_file, FILES),
}
"""Name → (function that creates such a job, number of jobs)."""


class Sizing:
    """Measures one kind after another."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._client = client
        self.ledger = WorkerLedger(client, Region.EU, settings)

    def bytes_of(self, make: Callable[[int], JobBase], number: int) -> dict[str, float]:
        """Return state → bytes for each job."""
        found: dict[str, float] = {}
        for state, (transition, attempts) in STATES.items():
            self._client.flushall()
            self._enqueue(make, range(1))  # stored once for any number of jobs: scripts, counts
            before = self._used()
            self._enqueue(make, range(1, number + 1))
            found.setdefault("queued", (self._used() - before) / number)
            self._settle(transition, attempts)
            found[state] = (self._used() - before) / number
        return found

    def bytes_of_events(self) -> dict[str, float]:
        """Return bytes for each event of an endpoint of webhooks: not tried yet, and tried again later."""
        self._client.flushall()
        endpoint = Endpoint("wh-0123456789ab", "https://receiver.example/", regions=("eu",))
        assert self.ledger.webhooks.put(endpoint, new_secret())
        self._enqueue(_keyed, range(EVENTS))
        self._settle(*STATES["dead"])
        untried, *tried = (self.ledger.keys.of(name, endpoint.id) for name in ("untried:", "outbox:", "events:"))
        found = {"not tried yet": self._bytes(untried) / EVENTS}
        outbox = self.ledger.webhook_outbox
        for _ in range(EVENTS):
            lease = outbox.take(endpoint.id, _AT_ONCE)
            if lease is None:
                break
            outbox.settle(lease, [(one.id, Became.FAILED, "HTTP 503") for one in lease.events])
            self._client.hdel(self.ledger.keys.of("webhook:", endpoint.id), "next", "errors")
        found["tried again later"] = self._bytes(*tried) / EVENTS
        return found

    def _bytes(self, *names: str) -> int:
        return sum(self._client.memory_usage(name, samples=0) or 0 for name in names)

    def _used(self) -> int:
        """Return Redis' memory without the list of jobs that workers have yet to index."""
        self._client.delete(self.ledger.keys["arrivals"])
        self._client.execute_command("MEMORY", "PURGE")
        return int(self._client.info("memory")["used_memory"])

    def _enqueue(self, make: Callable[[int], JobBase], numbers: range) -> None:
        for start in range(0, len(numbers), _AT_ONCE):
            self.ledger.enqueue([Entry.of(make(number)) for number in numbers[start : start + _AT_ONCE]])

    def _settle(self, transition: Transition, attempts: tuple[Attempt, ...]) -> None:
        while jobs := self.ledger.claim("sizing", uuid.uuid4().hex, _AT_ONCE, _AT_ONCE).jobs:
            decision = Decision(self._transition(jobs[0].job, transition))
            self.ledger.settle([Settlement(one, decision, attempts) for one in jobs])

    def _transition(self, sent: JobBase, transition: Transition) -> Transition:
        if isinstance(transition, Delivered) and isinstance(sent, PersonalLink):
            return replace(transition, result={"link": _LINK, "number": "1234567"})
        return transition


def table_of_events(found: Mapping[str, float]) -> str:
    """Return the table of events, with the bytes of as many as a region keeps."""
    lines = ["| event | bytes | 400,000 of them, MB |", "| --- | --- | --- |"]
    most = MOST_OF_REGION / 1e6
    lines += [f"| {name} | {size:,.0f} | {size * most:,.0f} |" for name, size in found.items()]
    return "\n".join(lines)


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table: a row for each kind, a column for each state."""
    states = ["queued", *STATES]
    lines = [f"| job | {' | '.join(states)} |", f"| --- |{' --- |' * len(states)}"]
    lines += [f"| {kind} | {' | '.join(f'{sizes[state]:,.0f}' for state in states)} |" for kind, sizes in found.items()]
    return "\n".join(lines)


def main() -> None:
    from support.redis_server import RedisServer  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder), "--appendonly", "no").start()
        try:
            # One file goes out in each upload slot: keep the slot always open.
            settings = Settings.load(redis_url=server.url, upload_interval=0.001, api_url="http://127.0.0.1:1")
            with redis.Redis.from_url(server.url, socket_timeout=60) as client:
                sizing = Sizing(client, settings)
                print(table({kind: sizing.bytes_of(*how) for kind, how in KINDS.items()}))
                print(table_of_events(sizing.bytes_of_events()))
        finally:
            server.stop()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    main()
