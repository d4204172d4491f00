"""Plant each fault by hand, and check that the audit of a chaos run finds it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gaugepost_workers.rescuer import _LOST
from support.chaos.audit import NO_EFFECT, WORKER_LOST, Audit, Totals
from support.chaos.canary_audit import sent_before_canary
from support.chaos.load import Sent
from support.ledger_truth import Truth

DELIVERED = ("delivered", 200)
RECORD = Sent("a", "eu", "record")
RESPONSE = Sent("a", "eu", "response", once=True)
CHANGES = [Sent(name, "eu", "close_loop", "case", turn) for turn, name in enumerate("abc")]


def job(*attempts: tuple[str, int | None], state: str = "delivered", **more: str) -> dict[str, str]:
    lines = [
        json.dumps({"event": "attempt", "verdict": verdict, "status": status, "ms": 5}) for verdict, status in attempts
    ]
    return {"state": state, "history": "\n".join(lines)} | more


def audit(
    sent: list[Sent], jobs: dict[str, dict[str, str]], effects: str, *, departed: str = "abc", **how: Any
) -> Totals:
    kinds = {one.id: one.kind for one in sent}
    arrived = [
        {"idempotency_key": key, "kind": kinds.get(key, "record"), "region": "eu", "n": n, "received_at": n, "body": {}}
        for n, key in enumerate(effects)
    ]
    found = Audit({one.id: one for one in sent}, {"eu": Truth(jobs)}, arrived, departed, **how)
    return found.count(2.0)


def test_clean_run_has_nothing_wrong() -> None:
    totals = audit(CHANGES, dict.fromkeys("abc", job(DELIVERED)), "abc")
    assert totals.wrong() == []


@pytest.mark.parametrize(
    "attempts",
    [(DELIVERED,), (("server_error", NO_EFFECT), DELIVERED), (("throttled", 429), DELIVERED)],
)
def test_double_without_an_unclear_answer_is_found(attempts: tuple[tuple[str, int], ...]) -> None:
    assert len(audit([RECORD], {"a": job(*attempts)}, "aa").doubled) == 1


@pytest.mark.parametrize("unclear", [("lost_answer", None), ("server_error", 500), ("server_error", 200)])
def test_double_after_an_unclear_answer_is_counted_apart(unclear: tuple[str, int | None]) -> None:
    totals = audit([RECORD], {"a": job(unclear, DELIVERED)}, "aa")
    assert (totals.wrong(), totals.doubled_with_lost_answers) == ([], 1)


def test_only_a_lost_answer_excuses_a_duplicate() -> None:
    assert len(audit([RESPONSE], {"a": job(("server_error", 500), DELIVERED)}, "aa").doubled) == 1


@pytest.mark.parametrize(("due", "early"), [(0.0, 0), (1.0, 1)])
def test_arrival_before_its_time_is_found(due: float, early: int) -> None:
    scheduled = Sent("a", "eu", "record", due=due)  # the simulator received it at 0
    assert len(audit([scheduled], {"a": job(DELIVERED)}, "a").early) == early


def test_unknown_that_never_left_is_found() -> None:
    unknown = job(("lost_answer", None), state="unknown", reason="answer lost")
    assert audit([RESPONSE], {"a": unknown}, "").wrong() == []
    assert len(audit([RESPONSE], {"a": unknown}, "", departed="").unknown_without_cause) == 1
    silent = job(state="unknown", reason="answer lost")
    assert len(audit([RESPONSE], {"a": silent}, "").unknown_without_cause) == 1


def test_unknown_of_a_lost_worker_needs_no_bytes() -> None:
    line = {"event": "attempt", "verdict": "lost_answer", "status": None, "ms": 0, "message": WORKER_LOST}
    unknown = {"state": "unknown", "reason": "answer lost", "history": json.dumps(line)}
    assert audit([RESPONSE], {"a": unknown}, "", departed="").wrong() == []
    assert _LOST.message == WORKER_LOST


@pytest.mark.parametrize(("verdict", "lost"), [("server_error", 0), ("lost_answer", 0), ("invalid_value", 1)])
def test_poison_record_dies_of_its_last_failure_only(verdict: str, lost: int) -> None:
    poison = Sent("a", "eu", "record", doomed=True)
    dead = job(("server_error", NO_EFFECT), (verdict, None), state="dead", verdict=verdict)
    assert len(audit([poison], {"a": dead}, "").lost) == lost


def test_change_after_a_later_one_is_found() -> None:
    jobs = dict.fromkeys("abc", job(("lost_answer", None), DELIVERED))
    assert len(audit(CHANGES, jobs, "abca").out_of_order) == 1
    assert len(audit(CHANGES, jobs, "abca", forgets=True).out_of_order) == 1


def test_absent_job_or_one_without_effect_is_lost() -> None:
    assert len(audit([RECORD], {}, "a").lost) == 1
    assert len(audit([RECORD], {"a": job(DELIVERED)}, "").lost) == 1


def test_effect_of_no_producer_is_found() -> None:
    assert len(audit([], {}, "z").second_jobs) == 1
    assert audit([], {}, "z", forgets=True).forgotten == 1


@pytest.mark.parametrize(("state", "order", "wrong"), [("passed", "ba", 1), ("passed", "ab", 0), ("resumed", "ba", 0)])
def test_job_that_arrives_before_its_canary_is_found(state: str, order: str, wrong: int) -> None:
    jobs = {one: job(DELIVERED, batch="x") for one in "ab"}
    truth = Truth(jobs, hashes={"batch:x": {"canary_state": state}, "canary:x": {"a": "clean"}})
    arrived = [{"idempotency_key": key, "n": n} for n, key in enumerate(order)]
    assert len(list(sent_before_canary({"eu": truth}, arrived))) == wrong
