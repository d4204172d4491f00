"""A configuration that nobody has seen deliver gets one job at first."""

from __future__ import annotations

from gaugepost.jobs import parse_job
from gaugepost.ledger import Claimed
from gaugepost.ledger.views import History
from gaugepost.transitions import Dead, Decision, Delivered, Held, HoldSpec
from gaugepost.verdict import Verdict
from gaugepost_workers.slow_start import SlowStart

DELIVERED = Decision(Delivered())
BURIED = Decision(Dead(Verdict.DUPLICATE))
HELD = Decision(
    Held("configuration:c", "unknown_mapping"),
    hold=HoldSpec("configuration:c", "unknown_mapping", Verdict.UNKNOWN_MAPPING, (1,)),
)


def job(number: int, configuration: str = "c", probe: str | None = None) -> Claimed:
    parsed = parse_job({"kind": "record", "region": "eu", "configuration": configuration, "record": {"a": 1}})
    return Claimed(str(number), 1, 0, parsed, History(), probe)


def test_the_second_job_waits_for_the_first_ones_answer() -> None:
    start = SlowStart()
    first, second, third = job(1), job(2), job(3)
    assert [start.admit(one) for one in (first, second, third)] == [True, False, False]
    assert start.answered(first, DELIVERED).go == [second, third]
    assert start.admit(job(4))


def test_another_configuration_does_not_wait() -> None:
    start = SlowStart()
    assert start.admit(job(1))
    assert start.admit(job(2, "d"))


def test_after_an_answer_that_is_no_delivery_the_next_one_goes_alone() -> None:
    start = SlowStart()
    jobs = [job(i) for i in range(4)]
    for one in jobs:
        start.admit(one)
    assert start.answered(jobs[0], BURIED).go == [jobs[1]]
    assert start.answered(jobs[1], None).go == [jobs[2]]
    assert start.answered(jobs[2], DELIVERED).go == [jobs[3]]


def test_behind_a_mapping_fault_all_are_given_back() -> None:
    start = SlowStart()
    jobs = [job(i) for i in range(3)]
    for one in jobs:
        start.admit(one)
    behind = start.answered(jobs[0], HELD)
    assert (behind.go, behind.give_back) == ([], jobs[1:])
    assert start.admit(job(9)), "the next one of that configuration is a first one again"


def test_a_probe_never_waits_and_a_job_without_mapping_neither() -> None:
    start = SlowStart()
    start.admit(job(1))
    assert start.admit(job(2, probe="configuration:c"))
    unmapped = Claimed("3", 1, 0, parse_job({"kind": "file_delete", "region": "eu", "upload_id": 1}), History())
    assert start.admit(unmapped)
    assert start.answered(unmapped, DELIVERED).go == []


def test_a_configuration_cools_down_after_an_hour() -> None:
    now = 0.0
    start = SlowStart(lambda: now)
    first = job(1)
    start.admit(first)
    start.answered(first, DELIVERED)
    now = 3_599.0
    assert [start.admit(job(2)), start.admit(job(3))] == [True, True]
    now = 3_601.0
    assert [start.admit(job(4)), start.admit(job(5))] == [True, False]


def test_a_stopping_worker_takes_out_all_that_wait() -> None:
    start = SlowStart()
    jobs = [job(i) for i in range(3)]
    for one in jobs:
        start.admit(one)
    assert start.all_behind() == jobs[1:]
    assert start.answered(jobs[0], DELIVERED).go == []
