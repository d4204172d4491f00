"""What the overview says is wrong: once for several regions, and never of facts that are not known."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest

from gaugepost import Producer, Region, Settings
from gaugepost.ledger import Hold
from gaugepost.ledger.presence import Presence, local_time
from gaugepost.ledger.users import Role
from gaugepost.verdict import Verdict
from gaugepost_ops.web.console.problems_in_words import Problem, problems_of
from gaugepost_ops.web.console.rendering import _template
from gaugepost_ops.web.console.session_reads import Visitor
from gaugepost_ops.web.console.snapshots import Snapshot

NOW = int(time.time() * 1000)
PROXY_HOLDS = [
    ("", Verdict.UNREACHABLE, "proxy: http://proxy:3128: refused", True),
    ("credentials:oauth", Verdict.UNREACHABLE, "proxy: http://proxy:3128: refused", True),
    ("credentials:oauth", Verdict.UNREACHABLE, "no answer", False),
    ("", Verdict.SERVER_ERROR, "breaker: server_error", False),
    ("", None, "proxy: we repair it", False),
]
WELL: dict[str, Any] = {"missing": [], "unknown": 0, "dead": 0, "dead_by_verdict": {}, "workers": 1}


def snapshot(region: Region = Region.EU, *, ago_s: int = 0, holds: tuple[str, ...] = (), **facts: Any) -> Snapshot:
    found = {scope: Hold(scope, "maintenance", "bob", 1) for scope in holds}
    return Snapshot(region, int(time.time() * 1000) - ago_s * 1000, WELL | facts, found)


def problems(*snapshots: Snapshot) -> list[Problem]:
    with Producer(Settings.given(redis_url="redis://127.0.0.1:1")) as producer:
        return problems_of(producer, snapshots)


def overview_of(snapshot: Snapshot) -> str:
    """Return the part of the overview that an open console asks for."""
    states = dict.fromkeys(("queued", "waiting", "scheduled", "sending", "parked", "delivered"), 0)
    others = {"parked_by_reason": {}, "concurrency_limit": None, "token_expires": None}
    shown = replace(snapshot, summary=states | others | dict(snapshot.summary or {}))
    values: dict[str, Any] = {"base": "part.html", "live": True, "pages": set(), "navigation": []}
    values |= dict.fromkeys(("etag", "address", "path"), "")
    visitor = Visitor("ann", Role.VIEWER, "eu.x")
    return _template("overview.html").render(values, visitor=visitor, snapshots=[shown], find_problems=list)


def without_worker(region: Region, seen: int | None, beat: int | None = NOW) -> Snapshot:
    """Return a region whose last worker was seen then, Unix ms, and its beat."""
    return snapshot(region, missing=Presence(region, NOW, seen, beat).missing(), workers=0)


def test_what_is_wrong_in_several_regions_is_said_once() -> None:
    [found] = problems(without_worker(Region.EU, None), without_worker(Region.US, None))
    assert (found.region, found.text) == ("eu, us", "No worker has been seen yet")
    assert found.to_do == "Start one: `gaugepost worker --region …`"


def test_what_differs_between_regions_is_said_of_each() -> None:
    seen = NOW - 3_600_000
    found = problems(without_worker(Region.EU, seen), without_worker(Region.US, None))
    assert [(one.region, one.text) for one in found] == [
        ("eu", f"No worker has been seen since {local_time(seen, NOW)}"),
        ("us", "No worker has been seen yet"),
    ]
    assert found[0].to_do == "Start one: `gaugepost worker --region eu`"


@pytest.mark.parametrize("was_seen", [True, False])
@pytest.mark.parametrize("has_worker", [True, False])
def test_absent_beat_is_said_with_its_time(*, was_seen: bool, has_worker: bool) -> None:
    beat = NOW - 60_000 if was_seen else None
    seen = "yet" if beat is None else f"since {local_time(beat, NOW)}"
    presence = Presence(Region.EU, NOW, NOW if has_worker else None, beat)
    found = problems(snapshot(missing=presence.missing(), workers=int(has_worker)))[-1]
    assert found.text == f"Beat, which keeps the schedule, has not been seen {seen}"
    assert found.to_do == ("Workers do its work meanwhile. " if has_worker else "") + "Start it: `gaugepost beat`"


def test_single_cause_has_no_number_of_its_own() -> None:
    one = snapshot(dead=4, dead_by_verdict={"missing_field": 4})
    two = snapshot(Region.US, dead=5, dead_by_verdict={"missing_field": 4, "duplicate": 1})
    assert [found.text for found in problems(one, two)] == [
        "4 jobs are dead: missing field",
        "5 jobs are dead: missing field 4, duplicate 1",
    ]


@pytest.mark.parametrize(("scope", "why"), [("", "held"), ("endpoints:uploads", "held"), ("configuration:c", "")])
def test_upload_that_is_held_has_no_slot(scope: str, why: str) -> None:
    assert snapshot(holds=(scope,)).uploads_wait_for == why


def test_upload_without_worker_has_no_slot() -> None:
    assert snapshot(workers=0).uploads_wait_for == "no worker"


@pytest.mark.parametrize(("ago_s", "is_said"), [(10, True), (0, False)])
def test_old_facts_of_a_region_are_said_to_be_old(ago_s: int, *, is_said: bool) -> None:
    assert ("Redis does not answer now" in overview_of(snapshot(ago_s=ago_s))) == is_said


@pytest.mark.parametrize(("scope", "verdict", "reason", "fails"), PROXY_HOLDS)
def test_overview_says_whether_the_proxy_fails(
    scope: str, verdict: Verdict | None, reason: str, *, fails: bool
) -> None:
    hold = Hold(scope, reason, "gaugepost", 1, verdict=verdict)
    html = overview_of(replace(snapshot(), holds={scope: hold}))
    found = re.search(r"<dt>Proxy</dt><dd>(.*)</dd>", html)
    assert found is not None
    assert found[1].endswith("fails</span>" if fails else "no failure")


def test_jobs_of_several_regions_are_counted_apart() -> None:
    found = problems(snapshot(unknown=1), snapshot(Region.US, unknown=1))
    assert [(one.region, one.path) for one in found] == [
        ("eu", "/jobs?state=unknown&region=eu"),
        ("us", "/jobs?state=unknown&region=us"),
    ]


def test_further_holds_are_counted_in_each_region() -> None:
    scopes = tuple(f"batch:{number}" for number in range(7))
    found = [one for one in problems(snapshot(holds=scopes), snapshot(Region.US, holds=scopes)) if "more" in one.text]
    assert [(one.region, one.text, one.path) for one in found] == [
        ("eu", "2 more holds", "/holds?region=eu"),
        ("us", "2 more holds", "/holds?region=us"),
    ]
