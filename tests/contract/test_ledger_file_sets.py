"""Check file sets in the ledger: accepted as a whole, one upload slot per start, tracked without a slot."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime

import pytest
import redis

from gaugepost import BacklogFull, FileResult, JobState, StoreError
from gaugepost.ledger import Claimed, Entry, FileSet, Settlement
from gaugepost.ledger.file_sets import DIGEST_MS, STAGED_MS
from gaugepost.set_view import SetView
from gaugepost.transitions import Check, Dead, Decision, Delivered, Held, Parked, Phase, Requeued, Resend, Transition
from gaugepost.verdict import Verdict
from support.factories import file_delete, file_set, record, upload
from support.ledger_harness import HOUR_MS, LEASE_MS, NOON, SLOT_MS, Bench, attempt, breaker

PREFIX = "gaugepost:{eu}:"
CONTENT = b"Email\na@b.example\n" * 100
SOON = 1000
PROCESSING = Parked(SOON, "processing", Phase.PROCESSING)
LOOKUP = Parked(SOON, "lost_answer", Phase.LOOKUP)
BY_FAMILY = {"upload_scope": "family"}


def stage(bench: Bench, entries: list[Entry]) -> None:
    for entry in entries:
        bench.ledger.file_sets.stage(entry.id, CONTENT)


def accept(
    bench: Bench, made_set: tuple[FileSet, list[Entry]], *, again: bool = False, first: bool = False
) -> list[str]:
    """Stage and enqueue a file set; return the ids of its parts."""
    files, entries = made_set
    stage(bench, entries)
    assert bench.ledger.file_sets.enqueue(files, entries, again=again, first=first) == files.id
    return list(files.parts)


def claim_and_mark(bench: Bench) -> Claimed:
    """Start the next upload."""
    [claimed] = bench.claim()
    assert bench.ledger.mark(claimed) == (1, 0)
    return claimed


def next_starts(bench: Bench, parts: int) -> list[str]:
    """Start one upload in each of the next slots, and deliver them."""
    order = []
    for _ in range(parts):
        claimed = claim_and_mark(bench)
        bench.settle(claimed)
        order.append(claimed.id)
        bench.clock.go(SLOT_MS)
    return order


def look(bench: Bench, job_id: str, outcome: Transition) -> None:
    """Claim a file that is due for a status lookup, and settle it."""
    bench.tick(SOON)
    claimed = next(one for one in bench.claim() if one.id == job_id)
    assert claimed.phase
    assert bench.settle(claimed, outcome, counted=False)


def stored_bytes(bench: Bench) -> int:
    return int(bench.client.get(PREFIX + "content_bytes") or 0)


# Accepted, all or none


def test_parts_of_a_set_wait_for_their_slots_in_order(bench: Bench) -> None:
    files, entries = file_set(3)
    assert accept(bench, (files, entries)) == list(files.parts)
    assert bench.states(list(files.parts)) == ["waiting"] * 3
    assert list(bench.ledger.waiting_files()) == list(files.parts)
    assert bench.ledger.file_sets.find(files.id) == files
    assert bench.bells() == 1
    for job_id in files.parts:
        assert bench.ledger.content(job_id) == CONTENT
        assert bench.client.ttl(PREFIX + "content:" + job_id) == -1
    assert stored_bytes(bench) == 3 * len(zlib.compress(CONTENT))
    assert next_starts(bench, 3) == list(files.parts)


def test_a_repeated_call_changes_nothing_and_gives_the_same_set(bench: Bench) -> None:
    files, entries = file_set()
    accept(bench, (files, entries))
    [first] = bench.claim()
    before = bench.truth()
    for again in (False, True):
        assert bench.ledger.file_sets.enqueue(files, entries, again=again, first=False) == files.id
    after = bench.truth()
    assert (after.jobs, after.other, after.sets) == (before.jobs, before.other, before.sets)
    assert bench.state(first.id) == "sending"


def test_set_whose_staged_contents_expired_is_refused_whole(bench: Bench) -> None:
    files, entries = file_set()
    stage(bench, entries)
    assert 0 < bench.client.pttl(PREFIX + "content:" + entries[1].id) <= STAGED_MS
    bench.client.delete(PREFIX + "content:" + entries[1].id)
    with pytest.raises(StoreError, match="staged contents of this upload have expired"):
        bench.ledger.file_sets.enqueue(files, entries, again=False, first=False)
    bench.ledger.file_sets.unstage([entry.id for entry in entries])
    assert_nothing_of_it(bench, files)
    assert accept(bench, (files, entries)), "the digest of a refused set refuses no later set"


def assert_nothing_of_it(bench: Bench, files: FileSet) -> None:
    truth = bench.truth()
    assert truth.jobs == {}
    assert stored_bytes(bench) == 0
    assert bench.ledger.file_sets.find(files.id) is None
    assert bench.client.keys(PREFIX + "content:*") == []
    assert bench.client.keys(PREFIX + "digest:*") == []
    assert bench.bells() == 0


def test_a_set_over_the_limit_of_contents_is_refused_whole(client: redis.Redis) -> None:
    size = len(zlib.compress(CONTENT))
    bench = Bench(client, content_limit=3 * size - 1)
    files, entries = file_set(3)
    stage(bench, entries)
    with pytest.raises(BacklogFull, match="files take 0 bytes already"):
        bench.ledger.file_sets.enqueue(files, entries, again=False, first=False)
    bench.ledger.file_sets.unstage([entry.id for entry in entries])
    assert_nothing_of_it(bench, files)
    accept(bench, file_set(2))
    with pytest.raises(BacklogFull, match=f"files take {2 * size} bytes already"):
        bench.put(upload(content=CONTENT))
    assert bench.truth().faults == []


def test_a_set_over_the_limit_of_jobs_is_refused_whole(client: redis.Redis) -> None:
    bench = Bench(client, backlog_limit=3)
    bench.put(record())
    client.delete("gaugepost.eu")
    files, entries = file_set(3)
    stage(bench, entries)
    with pytest.raises(BacklogFull, match="1 jobs are waiting"):
        bench.ledger.file_sets.enqueue(files, entries, again=False, first=False)
    assert stored_bytes(bench) == 0
    accept(bench, file_set(2, content="smaller"))


def test_taking_staged_contents_away_leaves_those_of_an_accepted_set(bench: Bench) -> None:
    """The answer of an accepting call can be lost. The caller then cleans up a set that was accepted."""
    ids = accept(bench, file_set(2))
    _, entries = file_set(1, content="other")
    stage(bench, entries)
    bench.ledger.file_sets.unstage([*ids, entries[0].id])
    assert [bench.ledger.content(job_id) for job_id in (*ids, entries[0].id)] == [CONTENT, CONTENT, None]


# The same content again


def test_same_content_is_refused_unless_sending_again_is_asked_for(bench: Bench) -> None:
    first, second, third = file_set(), file_set(), file_set()
    accept(bench, first)
    stage(bench, second[1])
    assert bench.ledger.file_sets.enqueue(*second, again=False, first=False) == first[0].id
    assert bench.states(list(second[0].parts)) == [None] * 3
    assert bench.ledger.file_sets.find(second[0].id) is None
    accept(bench, second, again=True)
    stage(bench, third[1])
    assert bench.ledger.file_sets.enqueue(*third, again=False, first=False) == second[0].id


def test_the_same_content_of_another_family_is_another_upload(bench: Bench) -> None:
    accept(bench, file_set(family="contact"))
    accept(bench, file_set(family="historical"))


def test_the_same_content_is_taken_again_after_30_days(bench: Bench) -> None:
    accept(bench, file_set())
    [digest] = bench.client.keys(PREFIX + "digest:*")
    assert DIGEST_MS - 60_000 < bench.client.pttl(digest) <= DIGEST_MS == 30 * 24 * HOUR_MS
    bench.client.pexpire(digest, 0)
    accept(bench, file_set())


# What contents take


def test_the_count_of_bytes_stays_true_through_every_end_of_a_part(bench: Bench) -> None:
    size = len(zlib.compress(CONTENT))
    delivered, dead, cancelled, waiting = accept(bench, file_set(4))
    bench.settle(claim_and_mark(bench))
    bench.clock.go(SLOT_MS)
    bench.settle(claim_and_mark(bench), Dead(Verdict.INVALID_VALUE))
    bench.ledger.cancel([cancelled])
    assert stored_bytes(bench) == 3 * size
    bench.clock.go(24 * HOUR_MS)
    bench.ledger.sweep()
    assert stored_bytes(bench) == 2 * size
    assert bench.ledger.content(delivered) is None
    assert bench.ledger.content(dead) == CONTENT, "it can be replayed"
    bench.clock.go(90 * 24 * HOUR_MS)
    bench.ledger.sweep()
    assert stored_bytes(bench) == size
    assert bench.states([delivered, dead, cancelled, waiting]) == [None, None, None, "waiting"]
    bench.ledger.cancel([waiting])
    assert stored_bytes(bench) == 0


# First


def test_urgent_files_go_before_others_and_in_order_among_themselves(bench: Bench) -> None:
    plain = accept(bench, file_set(2, content="a"))
    early = accept(bench, file_set(2, content="b"), first=True)
    late = accept(bench, file_set(2, content="c"), first=True)
    order = [*early, *late, *plain]
    assert list(bench.ledger.waiting_files()) == order
    assert next_starts(bench, 6) == order


def test_an_urgent_file_that_has_to_be_sent_again_keeps_its_place(bench: Bench) -> None:
    plain = accept(bench, file_set(1, content="a"))
    first = accept(bench, file_set(2, content="b"), first=True)
    bench.settle(claim_and_mark(bench), Requeued())
    bench.clock.go(SLOT_MS)
    assert next_starts(bench, 3) == [*first, *plain]


# Lanes


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


# Followed


def test_tracked_file_needs_no_slot_and_does_not_block_the_lane(bench: Bench) -> None:
    first, second = accept(bench, file_set(2))
    bench.settle(claim_and_mark(bench), PROCESSING)
    assert bench.state(first) == "parked"
    bench.tick(SOON)
    [looked] = bench.claim()
    assert (looked.id, looked.phase) == (first, Phase.PROCESSING)
    bench.clock.go(SLOT_MS)
    [started] = bench.claim()
    assert started.id == second, "during a status lookup the next file takes its slot"
    assert bench.ledger.mark(started) == (1, 0)
    assert bench.settle(looked, Delivered({"total": 1}))
    assert bench.states([first, second]) == ["delivered", "sending"]


def test_file_with_unclear_outcome_uses_its_slot_and_is_next(bench: Bench) -> None:
    first, second, third = accept(bench, file_set(3))
    bench.settle(claim_and_mark(bench), LOOKUP)
    assert bench.claim() == [], "the slot is used"
    bench.clock.go(SLOT_MS)
    bench.ledger.promote()
    claimed = {one.id: one for one in bench.claim()}
    assert bench.ledger.mark(claimed[second]) == (1, 0)
    assert bench.settle(claimed[second])
    assert bench.settle(claimed[first], Resend(), counted=False)
    assert (bench.state(first), bench.view(first).reason) == ("waiting", "slot")
    assert bench.claim() == []
    bench.clock.go(SLOT_MS)
    assert next_starts(bench, 2) == [first, third]


def test_file_sent_again_takes_its_own_slot_and_mark(bench: Bench) -> None:
    [job_id] = accept(bench, file_set(1))
    bench.settle(claim_and_mark(bench), LOOKUP)
    look(bench, job_id, Resend())
    bench.clock.go(SLOT_MS)
    [again] = bench.claim()
    assert again.phase is Phase.NONE
    bench.clock.go(LEASE_MS)
    [lost] = bench.ledger.ended_leases()
    assert (lost.once, lost.marked) == (True, False), "its second sending has not begun"
    bench.settle(again, Requeued(), rescue=True)
    assert bench.ledger.mark(bench.claim()[0]) == (1, 0)


def test_worker_lost_during_a_lookup_costs_one_lookup_and_no_resend(bench: Bench) -> None:
    [job_id] = accept(bench, file_set(1))
    bench.settle(claim_and_mark(bench), PROCESSING)
    bench.tick(SOON)
    [looked] = bench.claim()
    bench.clock.go(LEASE_MS)
    [lost] = bench.ledger.ended_leases()
    assert (lost.once, lost.marked) == (True, False)
    bench.settle(looked, Requeued(), rescue=True)
    [again] = bench.claim()
    assert (again.id, again.phase) == (job_id, Phase.PROCESSING)


def test_sent_file_is_neither_cancelled_nor_expired(bench: Bench) -> None:
    soon = datetime.fromtimestamp((NOON + SOON) / 1000, UTC)
    sent, unclear = bench.put(upload("a.csv", expires_at=soon), upload("b.csv", expires_at=soon))
    bench.settle(claim_and_mark(bench), PROCESSING)
    bench.client.delete(PREFIX + "slot")
    bench.settle(claim_and_mark(bench), LOOKUP)
    assert bench.ledger.cancel([sent, unclear]) == [(JobState.PARKED, False)] * 2
    bench.tick(2 * SOON)
    assert bench.ledger.cancel([sent, unclear]) == [(JobState.QUEUED, False)] * 2
    looked = {one.id: one for one in bench.claim()}
    assert set(looked) == {sent, unclear}
    bench.settle(looked[sent], Delivered())
    bench.settle(looked[unclear], Resend())
    bench.tick(SOON)
    assert bench.states([sent, unclear]) == ["delivered", "expired"], "not there, so it was not sent after all"


def test_cancelling_a_set_stops_what_was_not_sent_and_nothing_else(bench: Bench) -> None:
    ids = accept(bench, file_set(4))
    bench.settle(claim_and_mark(bench), PROCESSING)
    bench.clock.go(SLOT_MS)
    sending = claim_and_mark(bench)
    done = [done for _, done in bench.ledger.cancel(ids)]
    assert done == [False, False, True, True]
    assert bench.states(ids) == ["parked", "sending", "cancelled", "cancelled"]
    assert bench.settle(sending, PROCESSING)
    assert [bench.ledger.content(job_id) is not None for job_id in ids] == [True, True, False, False]


def test_a_followed_file_waits_under_a_hold_and_is_looked_at_afterwards(bench: Bench) -> None:
    [job_id] = accept(bench, file_set(1))
    bench.settle(claim_and_mark(bench), PROCESSING)
    bench.ledger.hold("credentials:api_key", "no key", "ann")
    bench.tick(SOON)
    assert bench.claim() == []
    assert bench.view(job_id).reason == "no key"
    assert bench.ledger.cancel([job_id]) == [(JobState.PARKED, False)]
    bench.ledger.resume("credentials:api_key")
    bench.tick()
    [looked] = bench.claim()
    assert (looked.id, looked.phase) == (job_id, Phase.PROCESSING)


@pytest.mark.parametrize("answered", [True, False])
def test_status_lookup_as_probe_lifts_a_hold_if_it_was_answered(bench: Bench, answered: bool) -> None:
    accept(bench, file_set(1))
    bench.settle(claim_and_mark(bench), PROCESSING)
    bench.put(record())
    bench.settle(bench.claim()[0], Dead(Verdict.DUPLICATE), hold=breaker())
    bench.tick(15_000)
    [probe] = bench.claim()
    assert (probe.phase, probe.probe) == (Phase.PROCESSING, "")
    check = Check(NOON, 200, found=False, answered=answered)
    assert bench.ledger.settle([Settlement(probe, Decision(PROCESSING, counted=False), check=check)]) == [True]
    assert (bench.ledger.holds() == {}) is answered


def test_long_history_loses_lookups_before_attempts(bench: Bench) -> None:
    [job_id] = accept(bench, file_set(1))
    bench.settle(claim_and_mark(bench), LOOKUP, verdict=Verdict.LOST_ANSWER)
    for n in range(600):
        bench.tick(SOON)
        check = Check(NOON + n, 200, found=True, answered=True)
        bench.ledger.settle(
            [Settlement(one, Decision(PROCESSING, counted=False), check=check) for one in bench.claim()]
        )
    history = bench.view(job_id).history
    assert [attempt.verdict for attempt in history.attempts()] == [Verdict.LOST_ANSWER]
    assert history.entries[0]["event"] == "attempt"
    looks = [entry["at"] for entry in history.checks()]
    assert looks == list(range(NOON + 600 - len(looks), NOON + 600)), "the newest, whole and in order"
    assert 100 < len(looks) < 600


def test_replayed_dead_part_returns_to_its_place_and_is_sent(bench: Bench) -> None:
    first, second, third = accept(bench, file_set(3))
    bench.settle(claim_and_mark(bench), LOOKUP)
    look(bench, first, Dead(Verdict.SERVER_ERROR))
    assert bench.ledger.replay([first]) == [(JobState.WAITING, True)]
    assert bench.claim() == [], "its first sending has used the slot"
    bench.clock.go(SLOT_MS)
    [again] = bench.claim()
    assert (again.id, again.phase) == (first, Phase.NONE)
    bench.settle(again)
    assert next_starts(bench, 2) == [second, third]


def test_replayed_tracked_file_is_looked_up_and_not_sent(bench: Bench) -> None:
    [job_id] = accept(bench, file_set(1))
    bench.settle(claim_and_mark(bench), Parked(HOUR_MS, "processing", Phase.PROCESSING))
    bench.ledger.replay([job_id])
    [looked] = bench.claim()
    assert (looked.id, looked.phase) == (job_id, Phase.PROCESSING)


# The set as one thing


def test_set_adds_up_the_results_of_its_parts_and_lists_their_uploads(bench: Bench) -> None:
    files, entries = file_set(3)
    ids = accept(bench, (files, entries))
    for n, counts in enumerate([(2000, 1998, 2, (5, 9), 71), (2000, 2000, 0, (), 72)]):
        total, successful, unsuccessful, rejected, upload_id = counts
        result = FileResult(
            total=total, successful=successful, unsuccessful=unsuccessful, rejected=rejected, upload_id=upload_id
        )
        assert bench.settle(claim_and_mark(bench), Delivered(result.model_dump())), n
        bench.clock.go(SLOT_MS)
    view = SetView(files, tuple(bench.ledger.read(ids)))
    assert view.counts() == {"delivered": 2, "waiting": 1}
    assert not view.has_ended
    whole = view.result()
    assert (whole.total, whole.successful, whole.unsuccessful, whole.rejected) == (4000, 3998, 2, (5, 9))
    assert view.uploads() == [71, 72]


# Forecast


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
