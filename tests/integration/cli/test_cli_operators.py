"""What operators do when something is stuck: `jobs --group`, `replay`, `settle`, `hold`, `resume`, `holds`."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import CloseLoop, JobState, PersonalLink, Region, Response, ResultLost
from gaugepost.ledger import Settlement
from gaugepost.transitions import Attempt, Dead, Decision, Held, HoldSpec, Unknown
from gaugepost.verdict import Verdict
from support.stack import Stack
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Cli, EuWorker
    from gaugepost.transitions import Transition

_calls = count()


def claim_all(eu_worker: EuWorker) -> Iterator[Any]:
    while jobs := eu_worker.ledger.claim("ops", f"ops{next(_calls)}", 100).jobs:
        yield jobs


def end_all(
    eu_worker: EuWorker, to: Transition, verdict: Verdict, *fields: str, hold: HoldSpec | None = None
) -> list[str]:
    """Settle all ready jobs of eu like this; their answer has errors for these fields."""
    ended = []
    for jobs in claim_all(eu_worker):
        errors = {name: ["is wrong"] for name in fields}
        attempt = Attempt(1, 1_790_000_000_000, 12, 422, verdict, "wrong", field_errors=errors)
        eu_worker.ledger.settle([Settlement(job, Decision(to, hold=hold), (attempt,)) for job in jobs])
        ended += [job.id for job in jobs]
    return ended


def bury_all(eu_worker: EuWorker, *fields: str) -> list[str]:
    return end_all(eu_worker, Dead(Verdict.MISSING_FIELD), Verdict.MISSING_FIELD, *fields)


def held(mapping: str = "map") -> tuple[Held, HoldSpec]:
    scope = f"configuration:{mapping}"
    return Held(scope, "unknown_mapping"), HoldSpec(scope, "unknown_mapping", Verdict.UNKNOWN_MAPPING, (300_000,))


def case(eu_worker: EuWorker, number: str = "1", **more: Any) -> str:
    return eu_worker.producer.enqueue(
        CloseLoop(region=Region.EU, number_customergauge=number, status="open", **more)
    ).id


# jobs --group


def test_stuck_jobs_are_grouped_by_cause_with_their_command(cli: Cli, eu_worker: EuWorker) -> None:
    for _ in range(3):
        eu_worker.put(configuration="a-map")
    bury_all(eu_worker, "record.NPS Score", "record.Email")
    eu_worker.put()
    newest = bury_all(eu_worker)[0]
    eu_worker.put(configuration="gone")
    to, hold = held("gone")
    end_all(eu_worker, to, Verdict.UNKNOWN_MAPPING, hold=hold)
    eu_worker.put(configuration="gone")  # the hold parks it without an attempt
    lost = case(eu_worker)
    end_all(eu_worker, Unknown("answer lost"), Verdict.LOST_ANSWER)
    rows = cli("jobs", "--group", "--json").rows
    assert [(row["state"], row["count"]) for row in rows] == [
        ("dead", 3),
        ("parked", 2),
        ("unknown", 1),
        ("dead", 1),
    ] or [(row["state"], row["count"]) for row in rows] == [("dead", 3), ("parked", 2), ("dead", 1), ("unknown", 1)]
    by_state = {(row["state"], row["count"]): row for row in rows}
    mapped = by_state["dead", 3]
    assert (mapped["region"], mapped["verdict"], mapped["configuration"]) == ("eu", "missing_field", "a-map")
    assert mapped["fields"] == ["record.Email", "record.NPS Score"]
    assert mapped["command"] == (
        "gaugepost replay --state dead --region eu --kind record --verdict missing_field"
        " --configuration a-map --field record.Email --field 'record.NPS Score'"
    )
    assert by_state["dead", 1]["example"] == newest
    assert by_state["parked", 2]["command"] == "gaugepost resume eu --configuration gone"
    assert by_state["unknown", 1]["look"] == f"gaugepost job {lost}"
    assert f"Look whether CustomerGauge has it, then: gaugepost settle {lost} --as delivered" in cli("job", lost).out
    assert mapped["look"] is None
    assert by_state["unknown", 1]["command"] == (
        "gaugepost settle --state unknown --region eu --kind close_loop --verdict lost_answer --as DELIVERED-OR-DEAD"
    )
    assert cli(*by_state["unknown", 1]["command"].split()[1:]).code == 2
    lines = [line.strip() for line in cli("jobs", "--group", "--state", "unknown").out.splitlines()]
    assert lines[2:] == [
        "first look whether CustomerGauge has the job, then settle the group as what you found:",
        f"gaugepost job {lost}",
        by_state["unknown", 1]["command"],
    ]
    printed = cli("jobs", "--group", "--state", "dead").out
    assert "3  eu  record  dead: missing_field (record.Email, record.NPS Score)" in printed
    assert "resume" not in printed
    assert cli("jobs", "--group", "--limit", "1", "--json").rows == rows[:1]
    eu_worker.put()
    assert "1  eu  record  queued\n" in cli("jobs", "--group", "--state", "queued").out


def test_jobs_can_be_chosen_by_the_fields_that_were_wrong(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    [one] = bury_all(eu_worker, "record.Email", "record.Phone")
    eu_worker.put()
    bury_all(eu_worker, "record.Phone")
    rows = cli("jobs", "--json", "--field", "record.Email", "--field", "record.Phone").rows
    assert [row["id"] for row in rows] == [one]


# replay


def test_a_dry_run_counts_by_group_and_changes_nothing(cli: Cli, eu_worker: EuWorker) -> None:
    for _ in range(3):
        eu_worker.put()
    bury_all(eu_worker, "record.Email")
    call = ("replay", "--state", "dead", "--region", "eu", "--dry-run")
    [row] = cli(*call, "--json").rows
    assert (row["count"], row["verdict"], row["fields"]) == (3, "missing_field", ["record.Email"])
    done = cli(*call, "--limit", "2")
    assert (done.code, done.err) == (0, "dry run: 2 would be replayed\n")
    assert eu_worker.ledger.summary()["dead"] == 3


def test_replay_by_filter_is_in_the_history_and_leaves_other_jobs(cli: Cli, eu_worker: EuWorker) -> None:
    mine, other = eu_worker.put(source="crm"), eu_worker.put(configuration="other")
    bury_all(eu_worker)
    call = ("--state", "dead", "--region", "eu", "--source", "crm", "--verdict", "missing_field", "--kind", "record")
    done = cli("replay", *call, "--reason", "mapping mended", "--by", "ann")
    assert (done.code, done.out) == (0, "1 replayed\n")
    assert [eu_worker.producer.state(one) for one in (mine, other)] == [JobState.QUEUED, JobState.DEAD]
    [entry] = [one for one in eu_worker.producer.timeline(mine) if one["event"] == "replayed"]
    assert (entry["by"], entry["why"]) == ("ann", "mapping mended")
    assert "ann, mapping mended" in cli("job", mine).out
    again = cli("replay", *call)
    assert (again.code, again.out) == (0, "0 replayed\n")


def test_replay_says_why_a_named_job_is_skipped(cli: Cli, eu_worker: EuWorker) -> None:
    dead, queued = eu_worker.put(), ""
    bury_all(eu_worker)
    gone = eu_worker.put(expires_at=datetime.now(UTC) + timedelta(seconds=4))
    bury_all(eu_worker)
    kept = eu_worker.put()
    to, hold = held()
    end_all(eu_worker, to, Verdict.UNKNOWN_MAPPING, hold=hold)
    queued = case(eu_worker)
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
    assert cli("replay", gone, "--unset", "expires_at", "--json").rows == [
        {"id": gone, "region": "eu", "state": "queued", "replayed": True, "why_not": None}
    ]
    assert cli("replay", kept, "--set", "configuration=right").code == 0
    by = next(one["by"] for one in eu_worker.producer.timeline(kept) if one["event"] == "replayed")
    assert "@" in by


def test_an_edit_that_makes_one_job_invalid_refuses_the_whole_call(cli: Cli, eu_worker: EuWorker) -> None:
    fine = [eu_worker.put() for _ in range(3)]
    link = eu_worker.producer.enqueue(
        PersonalLink(region=Region.EU, configuration="map", record={"Email": "x@b.example"})
    )
    bury_all(eu_worker)
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
    bury_all(eu_worker)
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
    ids = bury_all(eu_worker)
    call = ("replay", "--state", "dead", "--region", "eu")
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
    assert cli(*call).out == f"{300 - len(replayed)} replayed\n"
    assert [job.id for jobs in claim_all(eu_worker) for job in jobs] == ids


# settle


def test_settle_reports_each_job_and_its_lane_goes_on(cli: Cli, eu_worker: EuWorker) -> None:
    first, second, third = case(eu_worker), case(eu_worker), case(eu_worker)
    eu_worker.settle(Unknown("answer lost"), Verdict.LOST_ANSWER)
    done = cli("settle", first, second, "nothing", "--as", "delivered", "--reason", "seen")
    assert (done.code, done.out.splitlines()) == (
        1,
        [f"{first}  settled as delivered", f"{second}  not settled: it is queued, not unknown", "nothing  no such job"],
    )
    assert cli("settle", first, "--as", "delivered").out == f"{first}  was delivered before\n"
    assert cli("settle", first, "--as", "dead").code == 1
    eu_worker.settle(Unknown("answer lost"), Verdict.LOST_ANSWER)
    assert cli("settle", second, "--as", "dead", "--json").rows == [{"id": second, "state": "dead", "settled": True}]
    assert eu_worker.producer.state(third) is JobState.QUEUED
    assert cli("settle", first, "--as", "lost").code == 2


def test_settle_dry_run_counts_unknown_jobs_given_by_id(cli: Cli, eu_worker: EuWorker) -> None:
    first, second = case(eu_worker), case(eu_worker)
    eu_worker.settle(Unknown("answer lost"), Verdict.LOST_ANSWER)
    assert cli("settle", first, second, "--as", "dead", "--dry-run").err == "dry run: 1 would be settled\n"
    assert eu_worker.producer.state(first) is JobState.UNKNOWN


@pytest.fixture
def lost(eu_worker: EuWorker) -> dict[str, str]:
    """Make unknown jobs of two kinds and two mappings, and a dead one."""
    found = {}
    for name, more in (("a", {"configuration": "a"}), ("b", {"configuration": "b", "source": "crm"})):
        found[name] = eu_worker.put(**more)
    found["case"] = case(eu_worker)
    end_all(eu_worker, Unknown("answer lost"), Verdict.LOST_ANSWER)
    found["dead"] = eu_worker.put(configuration="a")
    bury_all(eu_worker)
    return found


@pytest.mark.parametrize(
    ("options", "settled"),
    [
        ((), ["a", "b", "case"]),
        (("--kind", "record"), ["a", "b"]),
        (("--configuration", "a"), ["a"]),
        (("--source", "crm"), ["b"]),
        (("--verdict", "lost_answer", "--limit", "1"), ["a"]),
        (("--verdict", "duplicate"), []),
    ],
    ids=lambda options: " ".join(options) or "all",
)
def test_unknown_jobs_are_settled_by_a_filter(
    cli: Cli, eu_worker: EuWorker, lost: dict[str, str], options: tuple[str, ...], settled: list[str]
) -> None:
    call = ("settle", "--state", "unknown", "--region", "eu", *options, "--as", "delivered")
    dry = cli(*call, "--dry-run", "--json")
    assert (dry.code, sum(row["count"] for row in dry.rows)) == (0, len(settled))
    assert dry.err == f"dry run: {len(settled)} would be settled\n"
    assert eu_worker.ledger.summary()["unknown"] == 3
    done = cli(*call, "--reason", "seen in the portal", "--json")
    assert (done.code, [row["id"] for row in done.rows]) == (0, [lost[name] for name in settled])
    states = {name: eu_worker.producer.state(job_id) for name, job_id in lost.items() if name != "dead"}
    assert states == {name: JobState.DELIVERED if name in settled else JobState.UNKNOWN for name in states}


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--state", "unknown"),
        ("--region", "eu"),
        ("--state", "dead", "--region", "eu"),
        ("0" * 32, "--state", "unknown", "--region", "eu"),
        ("0" * 32, "--kind", "record"),
    ],
    ids=" ".join,
)
def test_settle_wants_ids_or_a_filter(cli: Cli, options: tuple[str, ...]) -> None:
    done = cli("settle", *options, "--as", "dead")
    assert (done.code, done.out) == (2, "")
    assert "--state unknown and --region" in done.err


def test_waiting_for_a_lost_result_raises_result_lost(cli: Cli, eu_worker: EuWorker) -> None:
    link = eu_worker.producer.enqueue(
        PersonalLink(region=Region.EU, configuration="map", record={"Email": "a@b.example"})
    )
    eu_worker.settle(Unknown("link lost"), Verdict.DUPLICATE)
    eu_worker.put()
    record = eu_worker.settle(Unknown("answer lost"), Verdict.LOST_ANSWER)
    assert cli("settle", link.id, record, "--as", "delivered").code == 0
    with pytest.raises(ResultLost, match="settled the job as delivered"):
        link.result(timeout=5)
    assert eu_worker.producer.result(record, timeout=5) is not None


# hold, resume, holds

HOLD_KEYS = {
    *("region", "configuration", "credentials", "endpoints"),
    *("reason", "by", "since", "until", "probe_at", "waiting", "workers"),
    *("verdict", "meaning", "to_do", "cause", "failed_probes", "last_failed_probe"),
}


def test_holds_are_opened_listed_and_lifted(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    eu_worker.put()
    until = (datetime.now(UTC) + timedelta(hours=3)).isoformat(timespec="seconds")
    assert cli("hold", "eu", "--reason", "maintenance", "--until", until, "--by", "ann").code == 0
    assert cli("hold", "eu", "--configuration", "map", "--reason", "new mapping", "--until", "2h").code == 0
    assert cli("hold", "us", "--credentials", "api_key", "--reason", "new key").code == 0
    assert cli("hold", "us", "--endpoints", "uploads", "--reason", "import by hand").code == 0
    rows = cli("holds", "--json").rows
    assert [set(row) for row in rows] == [HOLD_KEYS] * 4
    region, mapping, key, uploads = rows
    assert (region["region"], region["configuration"], region["by"], region["waiting"]) == ("eu", None, "ann", 2)
    assert datetime.fromisoformat(region["until"]) == datetime.fromisoformat(until)
    assert (mapping["configuration"], mapping["reason"]) == ("map", "new mapping")
    assert (datetime.fromisoformat(mapping["until"]) - datetime.fromisoformat(mapping["since"])).seconds == 7200
    assert (key["region"], key["credentials"], key["until"]) == ("us", "api_key", None)
    assert (uploads["region"], uploads["endpoints"], uploads["credentials"]) == ("us", "uploads", None)
    printed = cli("holds").out
    assert "gaugepost resume eu --configuration map" in printed
    assert "gaugepost resume us --endpoints uploads" in printed
    assert "gaugepost resume us --credentials api_key" in printed
    assert [row["region"] for row in cli("holds", "--region", "us", "--json").rows] == ["us", "us"]
    shown = cli("status").out
    assert "maintenance" in shown
    assert "new mapping" in " ".join(shown.split())
    for call in (
        ("eu",),
        ("eu", "--configuration", "map"),
        ("us", "--credentials", "api_key"),
        ("us", "--endpoints", "uploads"),
    ):
        assert cli("resume", *call).code == 0
    assert cli("holds", "--json").rows == []
    assert cli("holds").err.startswith("no holds\nno worker of eu ")


def test_resume_without_a_hold_fails_and_names_the_holds(cli: Cli, eu_worker: EuWorker) -> None:
    assert cli("hold", "eu", "--configuration", "map", "--reason", "x").code == 0
    done = cli("resume", "eu")
    assert (done.code, done.out) == (1, "")
    assert done.err == "eu: no hold; the holds of eu are: eu --configuration map\n"


def test_a_hold_that_would_end_in_the_past_is_refused(cli: Cli, eu_worker: EuWorker) -> None:
    done = cli("hold", "eu", "--reason", "x", "--until", "2020-01-01T00:00:00+00:00")
    assert (done.code, done.err) == (2, "--until: expected a time in the future\n")
    assert cli("hold", "xx", "--reason", "x").code == cli("hold", "eu").code == 2
    assert eu_worker.ledger.holds() == {}


def test_every_job_that_waits_for_a_hold_says_why_and_until_when(cli: Cli, eu_worker: EuWorker) -> None:
    queued = eu_worker.put()
    cli("hold", "eu", "--configuration", "map", "--reason", "new mapping", "--until", "2h")
    [row] = cli("jobs", "--json").rows
    assert (row["id"], row["reason"]) == (queued, "hold: new mapping")
    assert row["until"] is not None
    assert "queued: hold: new mapping until" in cli("jobs").out


def test_a_persons_hold_names_the_automatic_one_it_replaces(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    to, hold = held()
    end_all(eu_worker, to, Verdict.UNKNOWN_MAPPING, hold=hold)
    done = cli("hold", "eu", "--configuration", "map", "--reason", "we know")
    assert "it replaces the hold by gaugepost: unknown_mapping" in done.err
    done = cli("resume", "eu", "--configuration", "map")
    assert (done.code, done.out) == (0, "eu --configuration map: resumed, 1 job goes on\n")


# All of it, with real workers and the simulator


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
    bury_all(eu_worker)
    assert eu_worker.ledger.summary()["dead"] == 5_000
    done = cli("replay", "--state", "dead", "--region", "eu", "--rate", "5000")
    assert (done.code, done.out) == (0, "5,000 replayed\n")
    order: dict[str, list[int]] = {}
    for jobs in claim_all(eu_worker):
        for job in jobs:
            order.setdefault(job.job.number_customergauge, []).append(int(job.job.labels[0]))
        attempt = Attempt(1, 1_790_000_000_000, 12, 200, Verdict.DELIVERED)
        ended = Decision(Dead(Verdict.INVALID_VALUE))
        eu_worker.ledger.settle([Settlement(job, ended, (attempt,)) for job in jobs])
    assert len(order) == 50
    assert all(numbers == sorted(numbers) and len(numbers) == 100 for numbers in order.values())
