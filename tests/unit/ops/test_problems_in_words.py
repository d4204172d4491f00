"""What the overview says is wrong: once for several regions, and never of facts that are not known."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gaugepost import Region
from gaugepost.ledger import Hold
from gaugepost_ops.web.console.problems_in_words import problems_of
from gaugepost_ops.web.console.snapshots import Snapshot

WELL: dict[str, Any] = {"missing": [], "unknown": 0, "dead": 0, "dead_by_verdict": {}, "workers": 1}


def snapshot(region: Region = Region.EU, *, ago_s: int = 0, holds: tuple[str, ...] = (), **facts: Any) -> Snapshot:
    found = {scope: Hold(scope, "maintenance", "bob", 1) for scope in holds}
    return Snapshot(region, int(time.time() * 1000) - ago_s * 1000, WELL | facts, found)


def without_worker(region: Region, seen: str) -> Snapshot:
    reason = f"no worker of {region} has been seen {seen}"
    part = {"part": "worker", "reason": reason, "command": f"gaugepost worker --region {region}"}
    return snapshot(region, missing=[part], workers=0)


def test_what_is_wrong_in_several_regions_is_said_once() -> None:
    [found] = problems_of([without_worker(Region.EU, "(never)"), without_worker(Region.US, "(never)")])
    assert (found.region, found.text) == ("eu, us", "No worker has been seen yet")
    assert found.to_do == "Start one: `gaugepost worker --region …`"


def test_what_differs_between_regions_is_said_of_each() -> None:
    found = problems_of([without_worker(Region.EU, "since 14:05"), without_worker(Region.US, "(never)")])
    assert [(one.region, one.text) for one in found] == [
        ("eu", "No worker has been seen since 14:05"),
        ("us", "No worker has been seen yet"),
    ]
    assert found[0].to_do == "Start one: `gaugepost worker --region eu`"


def test_single_cause_has_no_number_of_its_own() -> None:
    one = snapshot(dead=4, dead_by_verdict={"missing_field": 4})
    two = snapshot(Region.US, dead=5, dead_by_verdict={"missing_field": 4, "duplicate": 1})
    assert [found.text for found in problems_of([one, two])] == [
        "4 jobs are dead: missing field",
        "5 jobs are dead: missing field 4, duplicate 1",
    ]


@pytest.mark.parametrize(("scope", "why"), [("", "held"), ("endpoints:uploads", "held"), ("configuration:c", "")])
def test_upload_that_is_held_has_no_slot(scope: str, why: str) -> None:
    assert snapshot(holds=(scope,)).uploads_wait_for == why


def test_upload_without_worker_and_old_facts_are_named() -> None:
    assert snapshot(workers=0).uploads_wait_for == "no worker"
    assert (snapshot(ago_s=10).is_old, snapshot().is_old) == (True, False)


def test_jobs_of_several_regions_are_counted_apart() -> None:
    found = problems_of([snapshot(unknown=1), snapshot(Region.US, unknown=1)])
    assert [(one.region, one.path) for one in found] == [
        ("eu", "/jobs?state=unknown&region=eu"),
        ("us", "/jobs?state=unknown&region=us"),
    ]
