"""`gaugepost settle`: what a person found out about unknown jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost import JobState, PersonalLink, Region, ResultLost
from gaugepost.transitions import Unknown
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from conftest import Cli, EuWorker


def test_settle_reports_each_job_and_its_lane_goes_on(cli: Cli, eu_worker: EuWorker) -> None:
    first, second, third = eu_worker.case(), eu_worker.case(), eu_worker.case()
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
    first, second = eu_worker.case(), eu_worker.case()
    eu_worker.settle(Unknown("answer lost"), Verdict.LOST_ANSWER)
    assert cli("settle", first, second, "--as", "dead", "--dry-run").err == "dry run: 1 would be settled\n"
    assert eu_worker.producer.state(first) is JobState.UNKNOWN


@pytest.fixture
def lost(eu_worker: EuWorker) -> dict[str, str]:
    """Make unknown jobs of two kinds and two mappings, and a dead one."""
    found = {}
    for name, more in (("a", {"configuration": "a"}), ("b", {"configuration": "b", "source": "crm"})):
        found[name] = eu_worker.put(**more)
    found["case"] = eu_worker.case()
    eu_worker.end_all(Unknown("answer lost"), Verdict.LOST_ANSWER)
    found["dead"] = eu_worker.put(configuration="a")
    eu_worker.bury_all()
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
    with eu_worker.operating():
        done = cli(*call, "--reason", "seen in the portal", "--json")
    [row] = done.rows
    assert (done.code, row["action"], row["done"], row["set"]) == (0, "settle", len(settled), {"as": "delivered"})
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
