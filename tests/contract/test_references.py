"""The index of references: written with the job, kept up with edits and results, gone with the job."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import InvalidQuery, JobState, Region, Settings
from gaugepost.ledger import Edit, Entry, Ledger
from gaugepost.ledger.reference_query import Query
from gaugepost.transitions import Dead, Delivered
from gaugepost.verdict import Verdict
from support.factories import case, link, record, upload
from support.ledger_harness import HOUR_MS, NOON, Bench

if TYPE_CHECKING:
    import redis

    from gaugepost.jobs import JobBase

JOE = {"Email": "Joe.Doe@Example.com", "PHONE": "+49 (30) 123-456", "Amount": "7"}


def query(value: str | None = None, since: float | None = None, until: float | None = None, **given: str) -> Query:
    return Query.of(value, given, since, until)


def found(bench: Bench, value: str | None = None, limit: int = 50, **given: Any) -> list[tuple[str, str | None]]:
    return [(view.id, view.matched) for view in bench.ledger.find(query(value, **given), limit)]


def joes(**more: Any) -> JobBase:
    return record(record=JOE, labels=("spring", "vip"), idempotency_key="order-1", **more)


@pytest.mark.parametrize(
    ("value", "sort"),
    [
        ("joe.doe@example.COM", "email"),
        ("+49 30 123456", "phone"),
        ("vip", "label"),
        ("order-1", "key"),
    ],
)
def test_value_of_any_sort_finds_job(bench: Bench, value: str, sort: str) -> None:
    [job_id] = bench.put(joes())
    bench.put(record(record={"Email": "jane@example.com"}))
    assert found(bench, value) == [(job_id, sort)]
    assert [view.id for view in bench.ledger.find(query(**{sort: value}), 5)] == [job_id]


def test_ids_first_digits_find_job(bench: Bench) -> None:
    [job_id, _] = bench.put(record(), record())
    assert found(bench, job_id[:8].upper()) == found(bench, job_id) == found(bench, id=job_id[:9]) == [(job_id, "id")]


def test_case_and_file_name_find_their_jobs(bench: Bench) -> None:
    [closing, file] = bench.put(case(number_customergauge="0053499"), upload(name="march.csv"))
    assert found(bench, "53499") == found(bench, case="053499") == [(closing, "case")]
    assert found(bench, "march.csv") == [(file, "file")]


def test_number_of_result_finds_job_once_delivered(bench: Bench) -> None:
    [job_id] = bench.put(link())
    [claimed] = bench.claim()
    assert found(bench, number="77001") == []
    answer = Delivered({"number_customergauge": 77001, "survey_link": "https://l", "survey_link_short": "https://s"})
    assert bench.settle(claimed, answer)
    assert bench.settle(claimed, answer) is False
    assert found(bench, "77001") == found(bench, number="77001") == [(job_id, "number")]


def test_several_values_must_all_match(bench: Bench) -> None:
    one, other = bench.put(joes(), record(record=JOE, labels=("autumn",)))
    assert found(bench, email="joe.doe@example.com", label="vip") == [(one, "email")]
    assert found(bench, email="joe.doe@example.com", label="autumn") == [(other, "email")]
    assert found(bench, email="joe.doe@example.com", label="winter") == []


def test_jobs_come_newest_first_and_cursor_continues(bench: Bench) -> None:
    ids = bench.put(*[record(labels=("bulk",)) for _ in range(350)])
    seen, cursor = [], None
    while True:
        page = bench.ledger.find(query(label="bulk"), 40, cursor)
        seen += [view.id for view in page]
        if (cursor := page.next) is None:
            break
    assert seen == ids[::-1]


def test_times_limit_what_is_found(bench: Bench) -> None:
    ids = []
    for _ in range(5):
        ids += bench.put(record(labels=("hourly",)))
        bench.clock.go(HOUR_MS)
    since, until = (NOON + HOUR_MS) / 1000, (NOON + 3 * HOUR_MS) / 1000 + 0.5
    assert [job_id for job_id, _ in found(bench, label="hourly", since=since, until=until)] == ids[3:0:-1]
    assert found(bench, id=ids[0], since=since) == []


def test_repeated_enqueue_changes_nothing(bench: Bench) -> None:
    entry = Entry.of(joes())
    bench.ledger.enqueue([entry])
    bench.ledger.enqueue([entry])
    assert found(bench, label="vip") == [(entry.id, "label")]


def test_edit_on_replay_moves_references(bench: Bench) -> None:
    [job_id] = bench.put(joes())
    [claimed] = bench.claim()
    bench.settle(claimed, Dead(Verdict.INVALID_VALUE))
    edited = record(record={"Email": "new@example.com"}, idempotency_key="order-1", labels=("vip",))
    edit = Edit(edited, 0, ("record",))
    assert bench.ledger.replay([job_id], edits={job_id: edit}) == [(JobState.QUEUED, True)]
    assert found(bench, email="joe.doe@example.com") == found(bench, label="spring") == []
    assert found(bench, email="new@example.com") == [(job_id, "email")]
    assert found(bench, key="order-1") == [(job_id, "key")]


def test_retention_removes_all_references(bench: Bench, client: redis.Redis) -> None:
    before = set(client.keys())
    jobs = [record(record=JOE | {"Email": f"{n % 9}@example.com"}, labels=("bulk", f"l{n % 3}")) for n in range(230)]
    bench.put(*jobs, joes(), case(), link(idempotency_key="linked"))
    while claimed := bench.claim():
        for n, one in enumerate(claimed):
            transition = Dead(Verdict.INVALID_VALUE) if n % 7 == 0 else Delivered({"number_customergauge": n})
            bench.settle(one, transition)
    bench.put(*jobs)
    bench.ledger.index()
    bench.put(*jobs)
    while claimed := bench.claim():
        for one in claimed:
            bench.settle(one)
    bench.clock.go(400 * 24 * HOUR_MS)
    while bench.ledger.sweep():
        assert bench.truth().faults == []
    bench.ledger.index()
    index = {b":ids:", b":keyed:", b":ref:", b":ref_chunks:", b":arrivals"}
    assert not [key for key in set(client.keys()) - before if any(part in bytes(key) for part in index)]


def test_key_index_outlives_idempotency_key(bench: Bench, client: redis.Redis) -> None:
    [first] = bench.put(joes())
    [expired] = client.keys("*:idem:*")
    client.delete(expired)
    [second] = bench.put(joes())
    assert found(bench, key="order-1") == [(second, "key"), (first, "key")]


def test_data_keys_hash_values_and_earlier_jobs_stay_found(bench: Bench, client: redis.Redis) -> None:
    old, new = "b2xkLWtleS1vbGQta2V5LW9sZC1rZXktb2xkLWtleTE=", "bmV3LWtleS1uZXcta2V5LW5ldy1rZXktbmV3LWtleTE="
    clear = Ledger(client, Region.EU, Settings())
    keyed = Ledger(client, Region.EU, Settings.given(data_key=old))
    both = Ledger(client, Region.EU, Settings.given(data_key=f"{new},{old}"))
    ids = [ledger.enqueue([Entry.of(record(record=JOE))])[0].id for ledger in (clear, keyed, both)]
    by_email = query(email="joe.doe@example.com")
    assert [view.id for view in both.find(by_email, 10)] == ids[::-1]
    assert [view.id for view in keyed.find(by_email, 10)] == ids[1::-1]
    assert [view.id for view in clear.find(by_email, 10)] == ids[:1]
    assert len(client.keys("*:ref:*")) == 6
    assert not [key for key in client.scan_iter() if b"joe" in key.lower()]


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (None, {}),
        (" ", {}),
        (None, {"email": " "}),
        (None, {"phone": "none"}),
        (None, {"id": "xyz"}),
        (None, {"case": "A1"}),
    ],
)
def test_malformed_queries_are_refused_without_their_value(value: str | None, given: dict[str, str]) -> None:
    with pytest.raises(InvalidQuery, match="expected") as refused:
        Query.of(value, given, None, None)
    assert not any(text in str(refused.value) for text in given.values() if text.strip())


def forget_index(client: redis.Redis) -> None:
    """Make the ledger look like one of a version without an index."""
    for part in ("ids", "keyed", "ref", "ref_chunks"):
        for key in client.keys(f"*:{part}:*"):
            client.delete(key)
    client.delete("gaugepost:{eu}:indexing", "gaugepost:{eu}:arrivals")


def indexed(bench: Bench) -> int:
    done = 0
    while bench.ledger.find(query("x"), 1).unindexed:
        done += bench.ledger.index()
    return done


def test_jobs_of_older_versions_are_indexed_in_place(bench: Bench, client: redis.Redis) -> None:
    ids = bench.put(
        *[record(labels=("bulk",), record={"Email": f"{n}@example.com"}) for n in range(260)], joes(), case()
    )
    claimed = bench.claim(120)
    for n, one in enumerate(claimed[:100]):
        bench.settle(one, Dead(Verdict.INVALID_VALUE) if n % 3 else Delivered({"number_customergauge": 77000 + n}))
    forget_index(client)
    assert bench.ledger.find(query(label="bulk"), 1).unindexed == len(ids)
    newer = bench.put(*[record(labels=("bulk",)) for _ in range(120)])
    assert indexed(bench) == len(ids)
    assert [view.id for view in bench.ledger.find(query(label="bulk"), 1_000)] == [*newer[::-1], *ids[259::-1]]
    assert found(bench, number="77003")
    assert bench.ledger.index() == 0


def test_entries_of_jobs_that_an_older_version_deleted_are_removed(bench: Bench, client: redis.Redis) -> None:
    ids = bench.put(*[record(labels=("bulk",)) for _ in range(250)], joes())
    bench.ledger.index()
    for job_id in random.sample(ids, 60):
        client.delete(f"gaugepost:{{eu}}:job:{job_id}")
        client.lrem("gaugepost:{eu}:ready:", 1, job_id)
        client.hincrby("gaugepost:{eu}:counts", "queued", -1)
    for _ in range(700):  # a pass over the lists, and one over all parts of the index
        bench.ledger.index()
    assert bench.truth().faults == []


def test_job_that_is_gone_before_it_is_indexed_leaves_no_entry(bench: Bench) -> None:
    [job_id] = bench.put(joes())
    bench.ledger.cancel([job_id])
    bench.clock.go(400 * 24 * HOUR_MS)
    assert bench.ledger.sweep() == 1
    assert found(bench, label="vip") == []
    assert bench.truth().faults == []


def test_jobs_indexed_out_of_order_are_listed_in_order(bench: Bench, client: redis.Redis) -> None:
    ids = bench.put(*[record(labels=("bulk",)) for _ in range(700)])
    arrivals = client.lrange("gaugepost:{eu}:arrivals", 0, -1)
    random.Random(7).shuffle(arrivals)
    client.delete("gaugepost:{eu}:arrivals")
    client.rpush("gaugepost:{eu}:arrivals", *arrivals)
    assert [job_id for job_id, _ in found(bench, label="bulk", limit=1_000)] == ids[::-1]
    assert bench.truth().faults == []


def test_every_idempotency_key_finds_its_job(bench: Bench) -> None:
    keys = [f"order-{n}" for n in range(300)]  # their hashes begin with every letter
    ids = bench.put(*[record(idempotency_key=key) for key in keys])
    assert [found(bench, key=key) for key in keys] == [[(job_id, "key")] for job_id in ids]
