"""Pages of the jobs in one state: in order, without gaps, by time, and for ended jobs in constant cost at any depth."""

from __future__ import annotations

import pytest

from gaugepost import InvalidQuery, JobState
from gaugepost.ledger.pages import PageQuery
from gaugepost.transitions import Dead, Delivered, Held, Parked, Requeued
from gaugepost.verdict import Verdict
from support.factories import record
from support.ledger_harness import HOUR_MS, NOON, Bench, mapping_hold


def end(bench: Bench, jobs: int, each_ms: int = 0) -> list[str]:
    """Deliver jobs, one each some ms; return their ids."""
    ids = bench.put(*[record() for _ in range(jobs)])
    while claimed := bench.claim():
        for one in claimed:
            bench.settle(one, Delivered())
            bench.clock.go(each_ms)
    return ids


def walk(bench: Bench, query: PageQuery, limit: int) -> list[str]:
    ids, cursor = [], None
    while True:
        page = bench.ledger.page(query, limit, cursor)
        ids += [view.id for view in page]
        if (cursor := page.next) is None:
            return ids


def test_pages_of_ended_jobs_follow_each_other_latest_first(bench: Bench) -> None:
    ids = end(bench, 60, each_ms=1_000)
    assert walk(bench, PageQuery(JobState.DELIVERED), 7) == ids[::-1]


def test_jobs_that_ended_in_one_millisecond_are_neither_lost_nor_repeated(bench: Bench) -> None:
    ids = end(bench, 450)
    found = walk(bench, PageQuery(JobState.DELIVERED), 10)
    assert found == sorted(ids, reverse=True)


def test_page_continues_after_a_job_that_has_left_the_state(bench: Bench) -> None:
    ids = bench.put(*[record() for _ in range(5)])
    for one in bench.claim():
        bench.settle(one, Dead(Verdict.INVALID_VALUE))
        bench.clock.go(1)
    first = bench.ledger.page(PageQuery(JobState.DEAD), 2)
    bench.ledger.replay([first[-1].id])
    rest = bench.ledger.page(PageQuery(JobState.DEAD), 9, first.next)
    assert [view.id for view in rest] == ids[2::-1]


def test_times_limit_pages(bench: Bench) -> None:
    ids = end(bench, 5, each_ms=HOUR_MS)
    query = PageQuery(JobState.DELIVERED, since=NOON + HOUR_MS, until=NOON + 3 * HOUR_MS)
    assert walk(bench, query, 2) == ids[3:0:-1]
    open_ones = bench.put(record())
    assert walk(bench, PageQuery(JobState.QUEUED, since=NOON + 5 * HOUR_MS), 2) == open_ones
    assert walk(bench, PageQuery(JobState.QUEUED, until=NOON), 2) == []


def test_page_stops_looking_and_says_where_it_continues(bench: Bench) -> None:
    ids = bench.put(*[record(source=f"s{n % 3}") for n in range(50)])
    query = PageQuery(JobState.QUEUED, keep=lambda view: view.job["source"] == "s2")
    page = bench.ledger.page(query, 50, most=20)
    assert (len(page), page.looked_at) == (0, 20)
    rest = bench.ledger.page(query, 50, page.next)
    assert {view.id for view in page + rest} == set(ids[2::3])


def test_page_begins_behind_any_number_of_jobs_of_all_lists(bench: Bench) -> None:
    end(bench, 1)  # the first answer of its configuration: the other jobs do not wait for it
    bench.put(*[record(source=f"s{n % 3}", urgent=n % 5 == 0) for n in range(40)])
    for n, one in enumerate(bench.claim(24)):
        hold = mapping_hold(f"c{n % 4}")
        ways = (Requeued(), Parked(n * 1_000, "server_error"), Held(hold.scope, "unknown_mapping"))
        bench.settle(one, ways[n % 3], hold=hold if n % 3 == 2 else None)
    for state in (JobState.QUEUED, JobState.PARKED, JobState.DEAD):
        ids = list(bench.ledger.ids(state))
        assert [list(bench.ledger.ids(state, skip)) for skip in range(43)] == [ids[skip:] for skip in range(43)]
    assert len(list(bench.ledger.ids(JobState.PARKED))) > 10


def test_page_deep_in_a_queue_reads_no_job_before_it(bench: Bench) -> None:
    ids = bench.put(*[record() for _ in range(1_000)])
    page = bench.ledger.page(PageQuery(JobState.QUEUED), 5, "900")
    assert [view.id for view in page] == ids[900:905]
    walked: list[int] = []
    listing = bench.ledger._listing
    walk = listing._walk
    listing._walk = lambda name, start=0: (walked.append(start), walk(name, start))[1]  # type: ignore[method-assign]
    assert list(listing.ids(JobState.QUEUED, 900)) == ids[900:]
    assert walked == [900]
    assert bench.ledger.page(PageQuery(JobState.QUEUED), 5, "9" * 12) == []


@pytest.mark.parametrize("cursor", ["x", "1.2", "-5"])
def test_malformed_cursor_is_refused(bench: Bench, cursor: str) -> None:
    for state in (JobState.DEAD, JobState.QUEUED):
        with pytest.raises(InvalidQuery, match="cursor: expected"):
            bench.ledger.page(PageQuery(state), 5, cursor)
