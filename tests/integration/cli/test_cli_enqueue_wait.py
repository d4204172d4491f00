"""`gaugepost enqueue` while it waits for its jobs, and while it is interrupted: Ctrl-C, a Redis that dies."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import JobState, Region
from gaugepost.ledger import Settlement
from gaugepost.transitions import Attempt, Dead, Decision
from gaugepost.verdict import Verdict
from support.stack import RedisServer
from support.wait import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Cli, EuWorker
    from gaugepost import Producer


RECORD: dict[str, Any] = {
    "kind": "record",
    "region": "eu",
    "configuration": "map",
    "record": {"Email": "a@example.com"},
}


def queued(producer: Producer) -> int:
    return sum(int(producer.ledger(region).summary()["queued"]) for region in Region)


@pytest.fixture
def server(tmp_path: Path, cli: Cli) -> Iterator[RedisServer]:
    """Run a Redis for the command line that the test may kill."""
    server = RedisServer(tmp_path).start()
    cli.environment["GAUGEPOST_REDIS_URL"] = server.url
    yield server
    server.stop()


def remainder(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Read what is left after some lines were read (`communicate` would forget what is buffered)."""
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout.read(), process.stderr.read()


def test_waiting_prints_each_job_when_it_has_ended(cli: Cli, eu_worker: EuWorker) -> None:
    process = cli.start("enqueue", cli.write("jobs.jsonl", RECORD, RECORD, RECORD), "--wait")
    with process:
        wait_until(lambda: queued(eu_worker.producer) == 3)
        eu_worker.park()
        eu_worker.deliver({"note": True})
        assert process.stdout is not None
        second = json.loads(process.stdout.readline())
        eu_worker.bury()
        third = json.loads(process.stdout.readline())
        assert process.poll() is None, "a parked job has not ended"
        parked = next(eu_worker.ledger.ids(JobState.PARKED))
        eu_worker.producer.cancel(parked)
        rest, err = remainder(process)
    assert (second["line"], second["state"], second["verdict"], second["result"]) == (
        *(2, "delivered", "delivered"),
        {"note": True},
    )
    assert (third["line"], third["state"], third["verdict"], third["result"]) == (3, "dead", "missing_field", None)
    assert [(row["id"], row["state"]) for row in map(json.loads, rest.splitlines())] == [(parked, "cancelled")]
    why = "line 3: dead: missing_field: The record.Email field is required.\n"
    assert (process.returncode, err) == (1, why)


def test_waiting_says_why_a_job_is_dead(cli: Cli, eu_worker: EuWorker) -> None:
    process = cli.start("enqueue", cli.write("jobs.jsonl", *[RECORD] * 12), "--wait")
    with process:
        wait_until(lambda: queued(eu_worker.producer) == 12)
        errors = {"record.Email": ["The record.Email field is required."]}
        for call in range(12):
            claimed = eu_worker.ledger.claim("w", f"call{call}", 1).jobs[0]
            attempt = Attempt(1, 1_790_000_000_000, 12, 422, Verdict.MISSING_FIELD, "Wrong.", field_errors=errors)
            eu_worker.ledger.settle([Settlement(claimed, Decision(Dead(Verdict.MISSING_FIELD)), (attempt,))])
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    rows = [json.loads(line) for line in out.splitlines()]
    assert {(row["state"], row["verdict"], row["message"]) for row in rows} == {("dead", "missing_field", "Wrong.")}
    assert [row["field_errors"] for row in rows] == [errors] * 12
    notes = err.splitlines()
    assert notes[0] == "line 1: dead: missing_field: Wrong. (record.Email)"
    assert len(notes) == 11
    assert "`gaugepost jobs --group`" in notes[-1]


def test_wait_exits_0_when_all_are_delivered_and_counts_duplicates(cli: Cli, eu_worker: EuWorker) -> None:
    job = RECORD | {"idempotency_key": "k"}
    first = cli("enqueue", cli.write("jobs.jsonl", job)).rows[0]["id"]
    eu_worker.deliver()
    done = cli("enqueue", cli.write("again.jsonl", job, job), "--wait")
    assert done.code == 0
    assert [(row["id"], row["state"], row["duplicate"]) for row in done.rows] == [(first, "delivered", True)] * 2


def test_ctrl_c_while_waiting_leaves_the_jobs_and_their_ids(cli: Cli, eu_worker: EuWorker) -> None:
    process = cli.start("enqueue", cli.write("jobs.jsonl", RECORD, RECORD), "--wait")
    with process:
        wait_until(lambda: queued(eu_worker.producer) == 2)
        eu_worker.deliver()
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = remainder(process)
    assert process.returncode == 130
    assert "1 job has not ended" in err
    assert [row["state"] for row in map(json.loads, out.splitlines())] == ["queued"]
    assert queued(eu_worker.producer) == 1


def test_a_thousand_jobs_are_waited_for_though_the_oldest_are_parked(cli: Cli, eu_worker: EuWorker) -> None:
    process = cli.start("enqueue", cli.write("jobs.jsonl", *[RECORD] * 1_000), "--wait")
    with process:
        wait_until(lambda: queued(eu_worker.producer) == 1_000)
        parked = [eu_worker.park() for _ in range(250)]
        for _ in range(750):
            eu_worker.deliver()
        assert process.stdout is not None
        rows = [json.loads(process.stdout.readline()) for _ in range(750)]
        eu_worker.ledger.cancel(parked)
        rest, _ = remainder(process)
    assert sorted(row["line"] for row in rows) == list(range(251, 1_001))
    assert len(rest.splitlines()) == 250


def test_redis_that_dies_while_waiting_exits_3_and_loses_no_id(cli: Cli, server: RedisServer) -> None:
    with cli.start("enqueue", cli.write("jobs.jsonl", RECORD), "--wait") as process:
        with server.client() as client:
            wait_until(lambda: client.llen("gaugepost:{eu}:ready:") == 1)
        server.kill()
        out, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert [row["state"] for row in map(json.loads, out.splitlines())] == ["queued"]
    assert "not ended" in err


def test_redis_that_dies_while_enqueuing_reports_accepted_lines(cli: Cli, server: RedisServer) -> None:
    with cli.start("enqueue", cli.write("jobs.jsonl", *[RECORD] * 20_000)) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        server.kill()
        out, err = remainder(process)
    rows = [json.loads(line) for line in [first, *out.splitlines()]]
    assert process.returncode == 3
    assert f"{len(rows):,} lines were accepted; no answer came for 200 more" in err
    assert f"(lines {len(rows) + 1:,} to {len(rows) + 200:,}); the rest was not" in err
    assert "idempotency_key" in err
