"""Check file sets in the ledger: accepted as a whole, refused as a whole, never twice by accident."""

from __future__ import annotations

import zlib

import pytest
import redis

from gaugepost import BacklogFull, FileResult, StoreError
from gaugepost.ledger import FileSet
from gaugepost.ledger.file_sets import DIGEST_MS, STAGED_MS
from gaugepost.set_view import SetView
from gaugepost.transitions import Dead, Delivered, Requeued
from gaugepost.verdict import Verdict
from support.factories import file_set, record, upload
from support.file_sets import CONTENT, PREFIX, accept, claim_and_mark, next_starts, stage, stored_bytes
from support.ledger_harness import HOUR_MS, SLOT_MS, Bench


def test_parts_of_a_set_wait_for_their_slots_in_order(bench: Bench) -> None:
    files, entries = file_set(3)
    assert accept(bench, (files, entries)) == list(files.parts)
    assert bench.states(list(files.parts)) == ["waiting"] * 3
    assert list(bench.ledger.waiting_files()) == list(files.parts)
    assert bench.ledger.file_sets.find(files.id) == files
    assert bench.bells() == 1
    for job_id in files.parts:
        assert bench.ledger.file_sets.content(job_id) == CONTENT
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
    assert [bench.ledger.file_sets.content(job_id) for job_id in (*ids, entries[0].id)] == [CONTENT, CONTENT, None]


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
    assert bench.ledger.file_sets.content(delivered) is None
    assert bench.ledger.file_sets.content(dead) == CONTENT, "it can be replayed"
    bench.clock.go(90 * 24 * HOUR_MS)
    bench.ledger.sweep()
    assert stored_bytes(bench) == size
    assert bench.states([delivered, dead, cancelled, waiting]) == [None, None, None, "waiting"]
    bench.ledger.cancel([waiting])
    assert stored_bytes(bench) == 0


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
