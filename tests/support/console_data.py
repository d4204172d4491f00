"""Fill the pages of the console: a job of each trouble, a batch, an operation, a file and a hold."""

from __future__ import annotations

from pathlib import Path

from gaugepost import Producer, Region
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action
from gaugepost.states import JobState
from support.console_jobs import die, lose, put
from support.factories import record


def one_of_each(producer: Producer, folder: Path) -> dict[str, str]:
    """Store one of each, and return their names by the parameters of the console's routes. All are of eu."""
    ledger = producer.ledger(Region.EU)
    unknown, [dead] = lose(producer), die(producer)
    [queued] = put(producer)
    producer.enqueue_many([record(region="eu") for _ in range(5)], batch="spring", canary=2)
    ledger.hold("batch:spring", "canary: 2 of 2 not clean", "gaugepost")
    started = ledger.operations.start(Action.REPLAY, JobFilter(state=JobState.DEAD), by="bob", reason="corrected")
    path = folder / "people.csv"
    path.write_text("Email,Date\na@example.net,2026-01-01 10:00:00\n")
    upload, parts = producer.uploads.plan(path, Region.EU, "contact")
    with upload:
        files = producer.uploads.upload(upload, parts, Region.EU, "contact")
    ledger.hold("", "maintenance", "bob")
    jobs = {"dead": dead, "unknown": unknown, "queued": queued}
    return jobs | {"job_id": dead, "name": "spring", "operation_id": started.id, "set_id": files.id, "token": "a"}
