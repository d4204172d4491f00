"""Check upload lanes: one for the region or one for each family of files, and the forecast of their starts."""

from __future__ import annotations

import redis

from gaugepost.transitions import Held
from gaugepost.verdict import Verdict
from support.factories import file_delete, file_set
from support.file_sets import BY_FAMILY, PROCESSING, accept, claim_and_mark
from support.ledger_harness import HOUR_MS, NOON, SLOT_MS, Bench, attempt


def test_setting_gives_each_file_family_its_own_lane_and_slots(client: redis.Redis) -> None:
    bench = Bench(client, **BY_FAMILY)
    contact, history = accept(bench, file_set(2, "contact")), accept(bench, file_set(2, "historical"))
    started = bench.claim()
    assert {claimed.id for claimed in started} == {contact[0], history[0]}
    assert [bench.ledger.mark(claimed) for claimed in started] == [(1, 0), (1, 0)]
    for claimed in started:
        bench.settle(claimed)
    bench.clock.go(SLOT_MS - 1)
    assert bench.claim() == []
    bench.client.delete("gaugepost.eu")
    assert not bench.ledger.open_slot()
    bench.clock.go(1)
    assert bench.ledger.open_slot()
    assert set(bench.claim_ids()) == {contact[1], history[1]}
    assert bench.truth().faults == []


def test_one_familys_used_slot_does_not_hold_up_another_family(client: redis.Redis) -> None:
    bench = Bench(client, **BY_FAMILY)
    contact, history = accept(bench, file_set(2, "contact")), accept(bench, file_set(1, "historical"))
    [claimed] = bench.claim(1)
    assert bench.ledger.mark(claimed) == (1, 0)
    other = history[0] if claimed.id == contact[0] else contact[0]
    assert bench.claim_ids() == [other]
    assert bench.ledger.upload_lanes() == [
        "files:transactional", "files:contact", "files:historical", "files:activity",
    ]  # fmt: skip
    assert list(bench.ledger.waiting_files("files:contact")) == contact[1:]
    assert bench.truth().faults == []


def test_forecast_uses_the_last_start_and_the_waiting_files(bench: Bench) -> None:
    assert bench.ledger.upload_lane().last_start is None
    accept(bench, file_set(3))
    assert bench.ledger.upload_lane().ahead == 3
    bench.settle(claim_and_mark(bench), PROCESSING)
    lane = bench.ledger.upload_lane()
    assert (lane.last_start, lane.ahead, lane.interval, lane.held) == (NOON, 2, 600_000, False)


def test_a_forecast_of_urgent_files_counts_only_the_urgent_ones_before_them(bench: Bench) -> None:
    accept(bench, file_set(3, content="a"))
    accept(bench, file_set(2, content="b"), first=True)
    assert (bench.ledger.upload_lane().ahead, bench.ledger.upload_lane(first=True).ahead) == (5, 2)


def test_forecast_names_every_hold_that_stops_files(bench: Bench) -> None:
    until = bench.clock.ms + HOUR_MS
    bench.ledger.hold("credentials:api_key", "no key", "ann", until)
    assert (bench.ledger.upload_lane().held, bench.ledger.upload_lane().held_until) == (True, until)
    bench.ledger.hold("", "paused", "ann")
    assert (bench.ledger.upload_lane().held, bench.ledger.upload_lane().held_until) == (True, None)
    bench.ledger.resume("")
    bench.ledger.resume("credentials:api_key")
    bench.ledger.hold("configuration:x", "mapping", "ann")
    assert not bench.ledger.upload_lane().held


def test_a_forecast_of_one_family_does_not_know_of_another(client: redis.Redis) -> None:
    bench = Bench(client, **BY_FAMILY)
    accept(bench, file_set(2, "contact"))
    claim_and_mark(bench)
    assert (bench.ledger.upload_lane("files:contact").ahead, bench.ledger.upload_lane("files:historical").ahead) == (
        1,
        0,
    )
    assert bench.ledger.upload_lane("files:contact").last_start == NOON
    assert bench.ledger.upload_lane("files:historical").last_start is None


def test_a_file_held_by_its_credentials_goes_back_to_its_place(bench: Bench) -> None:
    first, second = accept(bench, file_set(2))
    [claimed] = bench.claim()
    bench.settle(claimed, Held("credentials:api_key", "no key"))
    bench.put(file_delete())
    bench.tick()
    assert bench.state(first) == "waiting", "no hold is open, so the job is released"
    assert next(iter(bench.ledger.waiting_files())) == first
    assert attempt(claimed, Verdict.SERVER_ERROR).n == 1
    assert second in list(bench.ledger.waiting_files())
