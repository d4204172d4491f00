from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gaugepost.errors import BacklogFull
from gaugepost.ledger import Entry
from support.factories import case, file_delete, link, record, response, upload
from support.ledger_harness import HOUR_MS, NOON, Bench

if TYPE_CHECKING:
    import redis

A, B, C, D = (letter * 32 for letter in "abcd")


def keyed(job_id: str, key: str) -> Entry:
    return Entry(job_id, record(idempotency_key=key))


def test_jobs_go_in_the_order_enqueued_under_rising_stamps(bench: Bench) -> None:
    ids = bench.put(*(record() for _ in range(5))) + bench.put(record())
    stamps = [int(bench.truth().jobs[job_id]["at"]) for job_id in ids]
    assert stamps == list(range(NOON * 1000, NOON * 1000 + 6))
    assert bench.claim_ids() == ids


def test_stamps_rise_though_the_clock_steps_back(bench: Bench) -> None:
    first = bench.put(record())
    bench.clock.step(-HOUR_MS)
    second = bench.put(record())
    assert bench.claim_ids() == first + second


def test_a_used_idempotency_key_gives_the_first_job_whatever_its_state(bench: Bench) -> None:
    [first] = bench.put(record(idempotency_key="k"))
    bench.settle(bench.claim()[0])
    again = bench.ledger.enqueue([keyed(D, "k")])[0]
    assert (again.id, again.state, again.duplicate) == (first, "delivered", True)
    assert bench.state(D) is None


def test_the_same_key_twice_in_one_call_is_one_job(bench: Bench) -> None:
    receipts = bench.ledger.enqueue([keyed(A, "k"), keyed(B, "k"), keyed(C, "other")])
    assert [(one.id, one.duplicate) for one in receipts] == [(A, False), (A, True), (C, False)]
    assert bench.claim_ids() == [A, C]


def test_a_repeated_call_changes_nothing(bench: Bench) -> None:
    entries = [keyed(A, "k"), keyed(B, "k"), Entry(C, case()), Entry(D, case()), Entry.of(upload())]
    first = bench.ledger.enqueue(entries)
    before = bench.truth()
    assert bench.ledger.enqueue(entries) == first
    assert bench.truth() == before


def test_repeated_call_returns_the_current_states_and_is_no_duplicate(bench: Bench) -> None:
    bench.ledger.enqueue([keyed(A, "k")])
    bench.claim()
    [again] = bench.ledger.enqueue([keyed(A, "k")])
    assert (again.id, again.state, again.duplicate) == (A, "sending", False)


def test_an_idempotency_key_lives_for_seven_days_by_redis_own_expiry(bench: Bench) -> None:
    bench.put(record(idempotency_key="k"))
    [key] = list(bench.client.scan_iter("*:idem:*"))
    assert 7 * 24 * HOUR_MS - 60_000 < bench.client.pttl(key) <= 7 * 24 * HOUR_MS
    assert b":idem:k" not in key


def test_idempotency_key_outlives_its_job_and_keeps_its_end(client: redis.Redis) -> None:
    bench = Bench(client, retention_delivered="1h")
    [first] = bench.put(record(idempotency_key="k"))
    bench.settle(bench.claim()[0])
    bench.clock.go(2 * HOUR_MS)
    assert bench.ledger.sweep() == 1
    again = bench.ledger.enqueue([keyed(D, "k")])[0]
    assert (again.id, again.state, again.duplicate) == (first, "delivered", True)
    [key] = list(client.scan_iter("*:idem:*"))
    assert client.pttl(key) > HOUR_MS
    assert bench.truth().faults == []


def test_a_full_backlog_refuses_all_jobs_of_a_call_and_stores_none(client: redis.Redis) -> None:
    bench = Bench(client, backlog_limit=3)
    bench.put(record(), case())
    before = bench.truth()
    with pytest.raises(BacklogFull, match="2 jobs are waiting"):
        bench.put(record(), record(idempotency_key="k"))
    assert bench.truth() == before
    assert bench.put(record())


def test_duplicates_need_no_room_in_the_backlog(client: redis.Redis) -> None:
    bench = Bench(client, backlog_limit=1)
    receipts = bench.ledger.enqueue([keyed(A, "k"), keyed(B, "k")])
    assert [one.duplicate for one in receipts] == [False, True]
    assert bench.ledger.enqueue([keyed(C, "k")])[0].duplicate
    assert bench.ledger.enqueue([keyed(A, "k")])[0].id == A


def test_backlog_counts_waiting_and_parked_jobs_but_not_claimed_ones(client: redis.Redis) -> None:
    bench = Bench(client, backlog_limit=2)
    bench.put(case(), case())
    bench.claim()
    bench.put(record())
    with pytest.raises(BacklogFull):
        bench.put(record())


def test_the_second_job_of_a_case_waits_and_another_case_does_not(bench: Bench) -> None:
    ids = bench.put(case(1), case(1), case(2))
    assert bench.states(ids) == ["queued", "waiting", "queued"]
    assert bench.view(ids[1]).reason == "lane"


def test_a_file_waits_for_its_slot_with_its_content_compressed_beside_it(bench: Bench) -> None:
    content = b"Email\n" + b"a@b.example\n" * 1000
    [file_id] = bench.put(upload(content=content))
    view = bench.view(file_id)
    assert (view.state, view.reason) == ("waiting", "slot")
    assert view.job["stored"]["rows"] == 1000
    assert "content_base64" not in view.job
    assert bench.ledger.file_sets.content(file_id) == content
    assert bench.client.strlen(bench.ledger.keys.of("content:", file_id)) < len(content) / 10
    assert bench.ledger.file_sets.content("absent") is None


def test_urgent_jobs_ring_the_urgent_queue_and_others_the_regions_own(bench: Bench) -> None:
    bench.put(record())
    assert (bench.bells(), bench.bells("gaugepost.eu.urgent")) == (1, 0)
    bench.put(link())
    assert (bench.bells(), bench.bells("gaugepost.eu.urgent")) == (1, 1)


def test_a_bell_is_rung_for_every_hundred_jobs_and_no_more(bench: Bench) -> None:
    for _ in range(4):
        bench.put(*(record() for _ in range(60)))
    assert bench.bells() == 3


def test_a_file_rings_too(bench: Bench) -> None:
    bench.put(upload())
    assert bench.bells() == 1


def test_every_kind_is_claimed_as_it_was_enqueued(bench: Bench) -> None:
    when = datetime(2026, 12, 1, tzinfo=UTC)
    jobs = [record(labels=[A], source="crm"), case(note="x"), response(), file_delete(expires_at=when)]
    bench.put(*jobs)
    assert [claimed.job for claimed in bench.claim()] == jobs
    assert bench.claim() == []


def test_expires_at_is_kept_to_the_millisecond(bench: Bench) -> None:
    when = datetime.fromtimestamp(NOON / 1000 + 1.234, UTC)
    [job_id] = bench.put(record(expires_at=when))
    assert bench.truth().jobs[job_id]["expires"] == str(NOON + 1234)


def test_entries_of_one_job_object_are_jobs_of_their_own(bench: Bench) -> None:
    entry = Entry.of(record())
    other = replace(entry, id=Entry.of(record()).id)
    assert len({one.id for one in bench.ledger.enqueue([entry, other])}) == 2
