"""A batch as people see it: rate, forecast, and one view of several regions."""

from __future__ import annotations

import pytest

from gaugepost.ledger.batch_views import BatchView, _read, merged

NOW = 1_795_305_600_000


def view(members: dict[bytes, bytes] | None = None, held: int = 0, **numbers: object) -> BatchView:
    row = {"started": NOW - 100_000, "active": NOW, "total": 100} | numbers
    found = _read("b", {name.encode(): str(value).encode() for name, value in row.items()}, members or {}, held, NOW)
    assert found is not None
    return found


def canary(state: str, **numbers: object) -> BatchView:
    return view({b"1": b"clean", b"2": b""}, 8, canary=2, tolerance="5", canary_state=state, parked=8, **numbers)


def test_rate_counts_jobs_of_the_last_two_spans() -> None:
    found = view(queued=60, since_now=NOW - 10_000, ended_now=20, since_before=NOW - 40_000, ended_before=60)
    assert found.rate == pytest.approx(2.0)
    assert found.ends == NOW + 30_000
    assert view(queued=60, since_now=NOW - 10_000, ended_now=20).rate == pytest.approx(2.0)


def test_batch_without_recent_end_has_no_forecast() -> None:
    found = view(queued=60, since_now=NOW - 900_000, ended_now=20, active=NOW - 800_000)
    assert (found.rate, found.ends, found.left) == (0.0, None, 60)


def test_batch_that_waits_for_its_canary_has_no_forecast() -> None:
    moving = {"since_now": NOW - 10_000, "ended_now": 20}
    assert canary("running", **moving).ends is None
    assert canary("passed", **moving).ends is not None


def test_regions_are_added_and_the_worst_canary_is_shown() -> None:
    both = merged({"eu": canary("passed", dead=2, **{"dead:duplicate": 2}), "us": canary("held", delivered=3)})
    assert (both.total, both.held, both.verdicts) == (200, 16, {"duplicate": 2})
    assert both.states == {"parked": 16, "dead": 2, "delivered": 3}
    assert both.canary is not None
    assert (both.canary.state, both.canary.ended, both.canary.open) == ("held", 1, ("2",))
    assert set(both.to_dict()["regions"]) == {"eu", "us"}
