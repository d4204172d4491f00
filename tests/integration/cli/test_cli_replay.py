"""`gaugepost replay`: by filter and by id, with edits and dry runs, on the ledger and with real workers."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gaugepost import CloseLoop, JobState, PersonalLink, Region, Response
from gaugepost.ledger import Settlement
from gaugepost.transitions import Attempt, Dead, Decision
from gaugepost.verdict import Verdict
from support.stack import Stack
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Cli, EuWorker


def test_a_dry_run_counts_by_group_and_changes_nothing(cli: Cli, eu_worker: EuWorker) -> None:
    for _ in range(3):
        eu_worker.put()
    eu_worker.bury_all("record.Email")
    call = ("replay", "--state", "dead", "--region", "eu", "--dry-run")
    [row] = cli(*call, "--json").rows
    assert (row["count"], row["verdict"], row["fields"]) == (3, "missing_field", ["record.Email"])
    assert len(row["examples"]) == 3
    done = cli(*call, "--limit", "2")
    assert (done.code, done.err) == (0, "dry run: 2 would be replayed\n")
    assert eu_worker.ledger.summary()["dead"] == 3


@pytest.mark.usefixtures("operating")
def test_replay_by_filter_is_in_the_history_and_leaves_other_jobs(cli: Cli, eu_worker: EuWorker) -> None:
    mine, other = eu_worker.put(source="crm"), eu_worker.put(configuration="other")
    eu_worker.bury_all()
    call = ("--state", "dead", "--region", "eu", "--source", "crm", "--verdict", "missing_field", "--kind", "record")
    done = cli("replay", *call, "--reason", "mapping mended, says joe@example.com", "--by", "ann")
    assert (done.code, done.out) == (0, "1 replayed\n")
    assert [eu_worker.producer.state(one) for one in (mine, other)] == [JobState.QUEUED, JobState.DEAD]
    [entry] = [one for one in eu_worker.producer.timeline(mine) if one["event"] == "replayed"]
    assert (entry["by"], entry["why"]) == ("ann", "mapping mended, says […]")
    assert "ann, mapping mended" in cli("job", mine).out
    again = cli("replay", *call)
    assert (again.code, again.out) == (0, "0 replayed\n")


def test_replay_says_why_a_named_job_is_skipped(cli: Cli, eu_worker: EuWorker) -> None:
    dead, queued = eu_worker.put(), ""
    eu_worker.bury_all()
    gone = eu_worker.put(expires_at=datetime.now(UTC) + timedelta(seconds=4))
    eu_worker.bury_all()
    kept = eu_worker.put()
    eu_worker.hold_all()
    queued = eu_worker.case()
    wait_until(lambda: datetime.fromisoformat(eu_worker.producer.job(gone).job["expires_at"]) < datetime.now(UTC))
    done = cli("replay", dead, queued, gone, kept, "nothing")
    assert done.code == 1
    assert sorted(done.out.splitlines()) == sorted(
        [
            f"{dead}  replayed",
            f"{queued}  it is queued",
            f"{gone}  its expires_at has passed: --unset expires_at, or --set a later one",
            f"{kept}  a hold stops it: gaugepost resume eu --configuration map",
            "nothing  no such job",
        ]
    )
    assert cli("replay", gone, "--unset", "expires_at", "--reason", "for joe@example.com", "--json").rows == [
        {"id": gone, "region": "eu", "state": "queued", "replayed": True, "why_not": None}
    ]
    assert [one["why"] for one in eu_worker.producer.timeline(gone) if one["event"] == "replayed"] == ["for […]"]
    assert cli("replay", kept, "--set", "configuration=right").code == 0
    by = next(one["by"] for one in eu_worker.producer.timeline(kept) if one["event"] == "replayed")
    assert "@" in by


def test_an_edit_that_makes_one_job_invalid_refuses_the_whole_call(cli: Cli, eu_worker: EuWorker) -> None:
    fine = [eu_worker.put() for _ in range(3)]
    link = eu_worker.producer.enqueue(
        PersonalLink(region=Region.EU, configuration="map", record={"Email": "x@b.example"})
    )
    eu_worker.bury_all()
    done = cli("replay", *fine, link.id, "--unset", "record.Email", "--set", "record.Name=secret")
    assert (done.code, done.out) == (2, "")
    assert f"personal_link {link.id}: record: expected the field Email or Phone" in done.err
    assert "nothing was replayed: the changes make 1 of 4 jobs invalid" in done.err
    assert eu_worker.ledger.summary()["dead"] == 4
    done = cli("replay", "--state", "dead", "--region", "eu", "--set", "note=secret")
    assert done.code == 2
    assert "note: unknown key" in done.err
    assert "nothing was replayed: the changes make 4 of 4 jobs invalid" in done.err
    assert "secret" not in done.out + done.err
    assert eu_worker.ledger.summary()["dead"] == 4


def test_edits_reach_every_sort_of_field_and_leave_names_only(cli: Cli, eu_worker: EuWorker) -> None:
    response = Response(region=Region.EU, fields={"Email": "a@b.example"}, comment="x", labels=("old",))
    job_id = eu_worker.producer.enqueue(response).id
    eu_worker.bury_all()
    (cli.folder / "comment.txt").write_text("secret words\n")
    options = {"fields.Email": "-", "net_promoter_score": "9", "comment": "@comment.txt", "labels": "a, b"}
    sets = [part for name, value in options.items() for part in ("--set", f"{name}={value}")]
    done = cli("replay", job_id, *sets, "--unset", "email_sent_date", stdin="secret@b.example\n")
    assert (done.code, done.err) == (0, "")
    job = eu_worker.producer.job(job_id).job
    assert (job["fields"], job["comment"], job["labels"]) == ({"Email": "secret@b.example"}, "secret words", ["a", "b"])
    assert job["net_promoter_score"] == 9
    printed = " ".join((cli("job", job_id).out + cli("job", job_id, "--json").out).split())
    assert "edited comment, email_sent_date, fields.Email, labels, net_promoter_score" in printed
    assert "secret" not in printed


def test_ctrl_c_reports_replayed_jobs_and_the_same_call_goes_on(cli: Cli, eu_worker: EuWorker) -> None:
    for _ in range(300):
        eu_worker.put()
    ids = eu_worker.bury_all()
    call = ("replay", *ids)
    process = cli.start(*call, "--rate", "40", "--json")
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out = process.stdout.read()  # not `communicate`, which loses what is in the reader's buffer
    _, err = process.communicate(timeout=30)
    replayed = [json.loads(line)["id"] for line in [first, *out.splitlines()]]
    assert process.returncode == 130
    assert f"{len(replayed)} of 300 were replayed; the others stay as they are" in err
    assert 0 < len(replayed) < 300
    assert replayed == ids[: len(replayed)], "the oldest go first"
    assert [row["replayed"] for row in cli(*call, "--json").rows].count(True) == 300 - len(replayed)
    assert [job.id for jobs in eu_worker.claim_all() for job in jobs] == ids


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as stack:
        yield stack


def test_dead_jobs_are_found_corrected_replayed_and_delivered(stack: Stack) -> None:
    stack.worker()
    stack.beat()
    broken = [
        stack.producer.enqueue(Response(region=Region.EU, fields={"CustomerNumber": str(i)}), idempotency_key=f"k{i}")
        for i in range(3)
    ]
    wait_until(lambda: stack.counts()["dead"] == 3)
    [group] = map(json.loads, stack.cli("jobs", "--group", "--json").stdout.splitlines())
    assert (group["count"], group["verdict"]) == (3, "missing_field")
    command = [*group["command"].split()[1:], "--set", "fields.Email=-"]
    dry = stack.cli(*command, "--dry-run", stdin="joe@example.net")
    assert dry.stderr == "dry run: 3 would be replayed\n"
    assert stack.counts()["dead"] == 3
    done = stack.cli(*command, "--reason", "Email was missing", stdin="joe@example.net")
    assert (done.returncode, done.stdout) == (0, "3 replayed\n")
    for job in broken:
        job.result(timeout=60)
    sent = [effect["idempotency_key"] for effect in stack.sim.effects(region="eu", kind="response")]
    assert sorted(sent) == sorted(job.id for job in broken)


def test_five_thousand_status_changes_are_replayed_in_case_lane_order(cli: Cli, eu_worker: EuWorker) -> None:
    changes = (
        CloseLoop(region=Region.EU, number_customergauge=str(i % 50), status="open", labels=(str(i),))
        for i in range(5_000)
    )
    list(eu_worker.producer.enqueue_many(changes))
    eu_worker.bury_all()
    assert eu_worker.ledger.summary()["dead"] == 5_000
    with eu_worker.operating():
        done = cli("replay", "--state", "dead", "--region", "eu", "--rate", "5000")
    assert (done.code, done.out) == (0, "5,000 replayed\n")
    order: dict[str, list[int]] = {}
    for jobs in eu_worker.claim_all():
        for job in jobs:
            order.setdefault(job.job.number_customergauge, []).append(int(job.job.labels[0]))
        attempt = Attempt(1, 1_790_000_000_000, 12, 200, Verdict.DELIVERED)
        ended = Decision(Dead(Verdict.INVALID_VALUE))
        eu_worker.ledger.settle([Settlement(job, ended, (attempt,)) for job in jobs])
    assert len(order) == 50
    assert all(numbers == sorted(numbers) and len(numbers) == 100 for numbers in order.values())
