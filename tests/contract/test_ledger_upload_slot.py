"""Check the sending mark, the upload slot that it takes, and the contents of sent files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.states import JobState
from gaugepost.transitions import Dead, Delivered, Parked, Phase, Requeued, Resend, Unknown
from gaugepost.verdict import Verdict
from support.factories import link, upload
from support.ledger_harness import HOUR_MS, LEASE_MS, NOON, SLOT_MS, Bench

if TYPE_CHECKING:
    import redis

    from gaugepost.ledger import Claimed


def test_a_job_that_is_no_file_is_marked_without_a_slot(bench: Bench) -> None:
    bench.put(link(on_unknown="hold"), link(on_unknown="hold"))
    assert [bench.ledger.mark(claimed) for claimed in bench.claim()] == [(1, 0), (1, 0)]


def marked_file(bench: Bench) -> Claimed:
    bench.put(upload("a.csv"), upload("b.csv"))
    [claimed] = bench.claim()
    assert bench.ledger.mark(claimed) == (1, 0)
    return claimed


def test_files_are_found_by_their_state_among_any_number_of_jobs(bench: Bench) -> None:
    sent = marked_file(bench)
    [waiting] = bench.ledger.files_in([JobState.WAITING])
    later = bench.put(upload("c.csv", deliver_at="2026-11-23T00:00:00+00:00"))
    bench.put(link())
    states = (JobState.SENDING, JobState.PARKED, JobState.QUEUED)
    assert bench.ledger.files_in([JobState.SENDING]) == [sent.id]
    bench.settle(sent, Parked(60_000, "processing", Phase.PROCESSING))
    assert sorted(bench.ledger.files_in(states)) == sorted([sent.id, *later])
    bench.tick(61_000)
    assert sorted(bench.ledger.files_in(states)) == sorted([sent.id, *later])
    [again] = [one for one in bench.claim() if one.id == sent.id]
    bench.settle(again, Delivered())
    bench.ledger.cancel([waiting])
    assert bench.ledger.files_in(states) == later
    assert bench.ledger.files_in(list(JobState)) == [*later]


def test_repeated_mark_moves_the_upload_slot_to_the_later_send(bench: Bench) -> None:
    claimed = marked_file(bench)
    bench.clock.go(5000)
    assert bench.ledger.mark(claimed) == (1, 0)
    assert int(bench.client.get("gaugepost:{eu}:slot")) == NOON + 5000


def test_repeated_mark_is_refused_when_another_file_has_the_slot(client: redis.Redis) -> None:
    bench = Bench(client, upload_interval=1, api_url="http://127.0.0.1")
    claimed = marked_file(bench)
    bench.clock.go(1100)
    [second] = bench.claim()
    assert bench.ledger.mark(second) == (1, 0)
    bench.clock.go(200)
    assert bench.ledger.mark(claimed) == (0, 900)
    assert bench.ledger.mark(second) == (1, 0)


def test_a_file_sent_again_waits_for_another_slot(bench: Bench) -> None:
    claimed = marked_file(bench)
    bench.settle(claimed, Requeued(), verdict=Verdict.LOST_ANSWER)
    bench.clock.go(SLOT_MS)
    [again] = bench.claim()
    bench.client.set("gaugepost:{eu}:slot", bench.clock.ms - 1)
    assert bench.ledger.mark(again) == (0, SLOT_MS - 1)


def test_a_lost_lease_takes_no_slot(bench: Bench) -> None:
    bench.put(upload())
    [claimed] = bench.claim()
    bench.clock.go(LEASE_MS)
    assert bench.ledger.mark(claimed) == (-1, 0)
    bench.settle(claimed, Requeued(), rescue=True)
    bench.claim()
    assert bench.ledger.mark(claimed) == (-1, 0)
    assert bench.client.get("gaugepost:{eu}:slot") is None


def test_when_the_clock_steps_back_a_whole_interval_passes_from_there(bench: Bench) -> None:
    bench.settle(marked_file(bench))
    bench.clock.step(-HOUR_MS)
    [second] = bench.claim()
    assert bench.ledger.mark(second) == (0, SLOT_MS)
    bench.settle(second, Requeued())
    assert bench.claim() == []
    bench.clock.go(SLOT_MS)
    assert bench.ledger.mark(bench.claim()[0]) == (1, 0)


def test_file_content_is_kept_after_an_end_and_deleted_on_cancel(bench: Bench) -> None:
    ends = {
        "delivered": Delivered(),
        "dead": Dead(Verdict.BAD_FILE),
        "unknown": Unknown("x"),
        "parked": Parked(HOUR_MS, "processing"),
    }
    kept = {}
    for name, transition in ends.items():
        bench.put(upload(f"{name}.csv"))
        [claimed] = bench.claim()
        bench.settle(claimed, transition)
        kept[name] = bench.ledger.file_sets.content(claimed.id) is not None
    [file_id] = bench.put(upload())
    bench.ledger.cancel([file_id])
    assert bench.ledger.file_sets.content(file_id) is None
    assert kept == dict.fromkeys(ends, True)


def test_a_sent_content_is_kept_for_its_retention_and_counts_until_then(bench: Bench) -> None:
    bench.put(upload())
    [claimed] = bench.claim()
    bench.settle(claimed)
    stored = int(bench.client.get("gaugepost:{eu}:content_bytes"))
    assert stored > 0
    bench.clock.go(24 * HOUR_MS - 1)
    bench.ledger.sweep()
    assert bench.ledger.file_sets.content(claimed.id) is not None
    bench.clock.go(1)
    bench.ledger.sweep()
    assert bench.ledger.file_sets.content(claimed.id) is None
    assert int(bench.client.get("gaugepost:{eu}:content_bytes")) == 0


def test_sent_file_is_looked_up_without_slot_and_requeued_if_missing(
    bench: Bench,
) -> None:
    bench.put(upload())
    [sent] = bench.claim()
    bench.ledger.mark(sent)
    bench.settle(sent, Parked(1000, "lost_answer", Phase.LOOKUP))
    bench.clock.go(2000)
    bench.ledger.promote()
    [looked] = bench.claim()
    assert (looked.id, looked.phase) == (sent.id, Phase.LOOKUP)
    bench.settle(looked, Resend())
    [view] = bench.ledger.read([sent.id])
    assert view is not None
    assert (view.state, view.reason) == (JobState.WAITING, "slot")
    bench.clock.go(HOUR_MS)
    [again] = bench.claim()
    assert (again.id, again.phase) == (sent.id, Phase.NONE)
