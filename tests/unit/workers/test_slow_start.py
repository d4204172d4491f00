"""A cold configuration gets one job first."""

from __future__ import annotations

from gaugepost.errors import StoreUnreachable
from gaugepost.jobs import parse_job
from gaugepost.ledger import Claimed
from gaugepost.ledger.history import History
from gaugepost.transitions import Dead, Decision, Delivered
from gaugepost.verdict import Verdict
from gaugepost_workers import slow_start
from gaugepost_workers.slow_start import SlowStart

DELIVERED = Decision(Delivered())
BURIED = Decision(Dead(Verdict.DUPLICATE))


def job(number: int, configuration: str = "c", probe: str | None = None) -> Claimed:
    parsed = parse_job({"kind": "record", "region": "eu", "configuration": configuration, "record": {"a": 1}})
    return Claimed(str(number), 1, 0, parsed, History(), probe)


class Warmth:
    """The configurations that are warm in the ledger, and how often a worker asked."""

    def __init__(self, *configurations: str) -> None:
        self.warm, self.asked = {*configurations}, 0

    def __call__(self, configuration: str) -> bool:
        self.asked += 1
        return configuration in self.warm


def test_all_but_the_first_job_of_a_cold_configuration_wait() -> None:
    start = SlowStart(Warmth())
    assert start.waiting([job(1), job(2), job(3, "d"), job(4)]) == {"2": "1", "4": "1"}
    assert start.waiting([job(5), job(6, "d")]) == {"5": "1", "6": "3"}


def test_after_a_delivery_none_waits_and_the_ledger_is_updated_once() -> None:
    start = SlowStart(Warmth())
    start.waiting([job(1), job(2)])
    assert start.answered(job(1), DELIVERED)
    assert start.waiting([job(3), job(4)]) == {}
    assert not start.answered(job(3), DELIVERED)


def test_after_any_other_outcome_the_next_job_goes_first() -> None:
    start = SlowStart(Warmth())
    for number, decision in ((1, BURIED), (2, None)):
        assert start.waiting([job(number), job(9)]) == {"9": str(number)}
        assert not start.answered(job(number), decision)


def test_deliveries_of_another_worker_count() -> None:
    warmth = Warmth("c")
    start = SlowStart(warmth)
    assert start.waiting([job(1), job(2)]) == {}
    assert start.waiting([job(3)]) == {}
    assert warmth.asked == 1


def test_ledger_is_asked_once_for_each_claim_and_configuration() -> None:
    warmth = Warmth()
    start = SlowStart(warmth)
    start.waiting([job(n) for n in range(50)])
    assert warmth.asked == 1


def test_warm_configuration_is_forgotten_after_ten_minutes() -> None:
    now = 0.0
    warmth = Warmth()
    start = SlowStart(warmth, lambda: now)
    start.waiting([job(1)])
    assert start.answered(job(1), DELIVERED)
    now = 599.0
    assert start.waiting([job(2), job(3)]) == {}
    now = 601.0
    assert start.waiting([job(4), job(5)]) == {"5": "4"}
    assert start.answered(job(4), DELIVERED)


def test_probes_and_jobs_without_configuration_never_wait() -> None:
    start = SlowStart(Warmth())
    unmapped = parse_job({"kind": "file_delete", "region": "eu", "upload_id": 1})
    others = [Claimed(str(n), 1, 0, unmapped, History()) for n in (8, 9)]
    assert start.waiting([job(1), job(2, probe="configuration:c"), *others]) == {}
    assert not start.answered(others[0], DELIVERED)


def test_without_redis_a_configuration_counts_as_cold() -> None:
    def away(_: str) -> bool:
        raise StoreUnreachable("away")

    assert SlowStart(away).waiting([job(1), job(2)]) == {"2": "1"}


def test_memory_of_configurations_is_bounded() -> None:
    start = SlowStart(Warmth())
    for number in range(2 * slow_start._MAX_REMEMBERED + 5):
        claimed = job(number, f"c{number}")
        start.waiting([claimed])
        start.answered(claimed, DELIVERED)
    assert len(start._warm_until) <= slow_start._MAX_REMEMBERED
    assert start._firsts == {}


def test_no_job_waits_for_a_first_job_that_was_given_up() -> None:
    start = SlowStart(Warmth())
    start.waiting([job(1)])
    start.forget_firsts()
    assert start.waiting([job(2), job(3)]) == {"3": "2"}
