"""The audit trail: each command that changes something appears once in it, a refused one too."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import redis

from gaugepost import Record, Region
from gaugepost.states import JobState
from gaugepost.transitions import Unknown
from gaugepost.verdict import Verdict
from support.audit_trail import DONE, REFUSED, export, only, trail
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Cli, EuWorker


def dead(eu_worker: EuWorker, **more: Any) -> str:
    eu_worker.put(**more)
    return eu_worker.bury()


def lost(eu_worker: EuWorker) -> str:
    eu_worker.put()
    return eu_worker.settle(Unknown("answer lost"), Verdict.LOST_ANSWER)


# Every changing command


def test_cancel_is_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    first, second = eu_worker.put(), eu_worker.put()
    assert cli("cancel", first, second).code == 0
    only(cli, **DONE, action="cancel", target=f"{first} {second}", count=2)


def test_cancel_that_came_too_late_is_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    job = dead(eu_worker)
    assert cli("cancel", job).code == 1
    only(cli, **REFUSED, action="cancel", target=job, region="eu")


def test_cancel_of_an_unknown_job_is_recorded_once(cli: Cli) -> None:
    assert cli("cancel", "absent").code == 1
    only(cli, **REFUSED, action="cancel", target="absent", region=None)


def test_command_is_recorded_once_in_each_region_that_it_touches(cli: Cli, eu_worker: EuWorker) -> None:
    of_us = eu_worker.producer.enqueue(Record(region=Region.US, configuration="map", record={"Email": "a@b.example"}))
    sent, of_eu = dead(eu_worker), eu_worker.put()
    assert cli("cancel", of_eu, of_us.id, sent).code == 1
    assert sorted((row["region"], row["count"], row["outcome"]) for row in trail(cli)) == [
        ("eu", 1, "done"),
        ("us", 1, "done"),
    ]


def test_replay_by_ids_is_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    job = dead(eu_worker)
    assert cli("replay", job, "--reason", "field is fixed", "--by", "someone else").code == 0
    only(cli, **DONE, action="replay", target=job, count=1, reason="field is fixed")


def test_replay_by_filter_is_recorded_with_the_filter(cli: Cli, eu_worker: EuWorker) -> None:
    dead(eu_worker)
    filters = ("--state", "dead", "--region", "eu", "--verdict", "missing_field")
    with eu_worker.operating():
        [operation] = cli("replay", *filters, "--reason", "for joe@example.com", "--json").rows
    target = f"state=dead verdict=missing_field operation={operation['id']}"
    only(cli, **DONE, action="replay", target=target, count=1, reason="for […]")


def test_cancel_by_filter_is_recorded_with_the_filter(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    with eu_worker.operating():
        [operation] = cli("cancel", "--state", "queued", "--region", "eu", "--json").rows
    only(cli, **DONE, action="cancel", target=f"state=queued operation={operation['id']}", count=1)


def test_detached_command_is_recorded_with_its_operation(cli: Cli, eu_worker: EuWorker) -> None:
    dead(eu_worker)
    operation = cli("replay", "--state", "dead", "--region", "eu", "--detach").out.strip()
    only(cli, **DONE, action="replay", target=f"state=dead operation={operation}", count=0)


def test_replay_names_edited_fields_without_their_values(cli: Cli, eu_worker: EuWorker) -> None:
    job = dead(eu_worker)
    assert cli("replay", job, "--set", "record.Email=new@example.com").code == 0
    only(cli, **DONE, action="replay", target=f"{job} edited=record.Email", count=1)


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("absent",), 1, "refused"),
        (("absent", "--state", "dead"), 2, "usage"),
        (("--set", "nonsense", "absent"), 2, "usage"),
    ],
)
def test_refused_replay_is_recorded(cli: Cli, arguments: tuple[str, ...], code: int, error: str) -> None:
    assert cli("replay", *arguments).code == code
    only(cli, **REFUSED | {"error": error}, action="replay", region=None)


def test_refused_replay_is_recorded_in_the_region_of_its_job(cli: Cli, eu_worker: EuWorker) -> None:
    job = eu_worker.put()
    assert cli("replay", job).code == 1
    only(cli, **REFUSED, action="replay", target=job, region="eu")


def test_cancel_by_key_is_recorded_with_the_id_of_the_job(cli: Cli, eu_worker: EuWorker) -> None:
    job = eu_worker.put(idempotency_key="order-991")
    assert cli("cancel", "--key", "order-991", "--region", "eu").code == 0
    only(cli, **DONE, action="cancel", target=job, count=1)


def test_settle_is_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    job = lost(eu_worker)
    assert cli("settle", job, "--as", "delivered", "--reason", "seen in the portal").code == 0
    only(cli, **DONE, action="settle", target=f"{job} as=delivered", count=1, reason="seen in the portal")


def test_settle_by_filter_is_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    lost(eu_worker)
    filters = ("--state", "unknown", "--region", "eu", "--kind", "record")
    with eu_worker.operating():
        [operation] = cli("settle", *filters, "--as", "dead", "--json").rows
    only(cli, **DONE, action="settle", target=f"state=unknown kind=record as=dead operation={operation['id']}", count=1)


def test_refused_settle_is_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    job = dead(eu_worker)
    assert cli("settle", job, "--as", "delivered").code == 1
    only(cli, **REFUSED, action="settle", target=f"{job} as=delivered", region="eu")


def test_hold_and_resume_are_recorded(cli: Cli) -> None:
    assert cli("hold", "eu", "--reason", "maintenance", "--configuration", "map").code == 0
    only(cli, **DONE, action="hold", target="configuration:map", count=1, reason="maintenance")
    assert cli("resume", "eu", "--configuration", "map").code == 0
    assert [row["action"] for row in trail(cli)] == ["resume", "hold"]
    assert trail(cli)[0] | DONE == trail(cli)[0]


@pytest.mark.parametrize(
    ("arguments", "region", "error"),
    [
        (("hold", "eu", "--reason", "x", "--until", "2020-01-01T00:00Z"), "eu", "usage"),
        (("hold", "eu", "--reason", " "), "eu", "usage"),
        (("resume", "us"), "us", "refused"),
    ],
)
def test_refused_hold_and_resume_are_recorded(cli: Cli, arguments: tuple[str, ...], region: str, error: str) -> None:
    assert cli(*arguments).code in {1, 2}
    only(cli, **REFUSED | {"error": error}, action=arguments[0], region=region)


def test_command_for_a_region_that_is_not_served_is_recorded(cli: Cli) -> None:
    cli.environment["GAUGEPOST_REGIONS"] = "us"
    assert cli("hold", "eu", "--reason", "x").code == 2
    only(cli, **REFUSED | {"error": "usage"}, action="hold", region="eu")


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_shown_data_is_recorded(cli: Cli, eu_worker: EuWorker, as_json: tuple[str, ...]) -> None:
    first, _ = eu_worker.put(), eu_worker.put()
    assert cli("job", first, "--show-data", *as_json).code == 0
    assert cli("jobs", "--kind", "record", "--show-data", *as_json).code == 0
    listed, shown = trail(cli)
    assert listed | DONE | {"action": "jobs", "count": 2, "target": "kind=record"} == listed
    assert shown | DONE | {"action": "job", "count": 1, "target": first} == shown


def test_shown_data_of_one_person_is_recorded_without_the_address(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put(record={"Email": "joe@example.com"}, idempotency_key="order-991")
    eu_worker.put(record={"Email": "ann@example.com"})
    done = cli("jobs", "--email", "joe@example.com", "--key", "order-991", "--since", "1h", "--show-data", "--json")
    assert [row["data"]["record"] for row in done.rows] == [{"Email": "joe@example.com"}]
    [row] = trail(cli)
    assert row | DONE | {"action": "jobs", "count": 1} == row
    assert row["target"].startswith("by=key,email since=")
    assert "joe" not in str(row)


def test_refused_show_data_is_recorded(cli: Cli) -> None:
    assert cli("jobs", "--email", " ", "--show-data").code == 2
    only(cli, **REFUSED | {"error": "InvalidQuery"}, action="jobs", target="by=email", region=None)


def test_shown_data_of_an_unknown_job_is_recorded_as_refused(cli: Cli) -> None:
    assert cli("job", "absent", "--show-data").code == 1
    only(cli, **REFUSED, action="job", target="absent", region=None)


def test_what_changes_nothing_is_not_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    job = dead(eu_worker)
    eu_worker.put()
    for arguments in (
        ("job", job),
        ("jobs",),
        ("jobs", "--group"),
        ("holds",),
        ("status",),
        ("uploads",),
        ("audit",),
        ("replay", job, "--dry-run"),
        ("settle", "--state", "unknown", "--region", "eu", "--as", "dead", "--dry-run"),
        ("cancel", "--state", "queued", "--region", "eu", "--dry-run"),
        ("upload", export(cli), "--region", "eu", "--family", "contact", "--dry-run"),
    ):
        assert cli(*arguments).code == 0, arguments
    assert trail(cli) == []


# Who, and what if it cannot be written


def test_actor_of_the_setting_is_recorded_in_trail_and_history(cli: Cli, eu_worker: EuWorker) -> None:
    cli.environment["GAUGEPOST_ACTOR"] = "ann.ops"
    job = eu_worker.put()
    cli("cancel", job)
    only(cli, actor="ann.ops")
    timeline = eu_worker.producer.job(job).timeline()
    assert [event["by"] for event in timeline if event["event"] == "cancelled" and "by" in event] == ["ann.ops"]


def test_killed_command_stays_in_the_trail_as_unfinished(cli: Cli, eu_worker: EuWorker) -> None:
    for _ in range(5):
        dead(eu_worker)
    call = ("replay", "--state", "dead", "--region", "eu", "--rate", "1")
    with eu_worker.operating(), cli.start(*call) as process:
        wait_until(lambda: bool(eu_worker.ledger.operations.list()))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    [operation] = eu_worker.ledger.operations.list()
    target = f"state=dead operation={operation.id}"
    only(cli, **REFUSED | {"error": "unfinished"}, action="replay", region="eu", target=target)
    assert "unfinished" in cli("audit").out


def test_interrupted_command_is_recorded_with_what_it_did(cli: Cli, eu_worker: EuWorker) -> None:
    for _ in range(5):
        dead(eu_worker)
    ids = eu_worker.ledger.ids(JobState.DEAD)
    with cli.start("replay", *ids, "--rate", "1") as process:
        wait_until(lambda: eu_worker.ledger.summary()["dead"] < 5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    [row] = trail(cli)
    assert (row["outcome"], row["error"]) == ("failed", "interrupted")
    assert row["count"] == 5 - eu_worker.ledger.summary()["dead"]


@pytest.fixture
def limited(cli: Cli) -> Iterator[Cli]:
    """Call commands as a user of Redis that may not write the trail."""
    url = cli.settings["GAUGEPOST_REDIS_URL"]
    with redis.Redis.from_url(url) as client:
        client.execute_command("ACL", "SETUSER", "limited", "on", ">limited", "~*", "&*", "+@all", "-acl", "-xadd")
        yield replace(cli, settings={"GAUGEPOST_REDIS_URL": url.replace("redis://", "redis://limited:limited@")})
        client.execute_command("ACL", "DELUSER", "limited")


def test_command_that_cannot_be_recorded_changes_nothing(cli: Cli, limited: Cli, eu_worker: EuWorker) -> None:
    job, waiting = dead(eu_worker), eu_worker.put()
    for arguments in (
        ("replay", job),
        ("cancel", waiting),
        ("upload", export(cli), "--region", "eu", "--family", "contact"),
        ("hold", "eu", "--reason", "x"),
        ("job", job, "--show-data"),
    ):
        done = limited(*arguments)
        assert (done.code, done.out) == (4, "")
        assert "to run XADD" in done.err
    assert [eu_worker.producer.state(one) for one in (job, waiting)] == ["dead", "queued"]
    assert eu_worker.ledger.holds() == {}
    assert sum(eu_worker.ledger.summary()[state] for state in JobState) == 2, "no part of the file is there"
    assert trail(cli) == []
