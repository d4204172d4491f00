"""Answer requests that took effect with an unclear answer: no job is done twice without a record."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaugepost import CloseLoop, File, JobState, PersonalLink, Record, Region, Response
from gaugepost.client import Receipt
from gaugepost.ledger import JobView
from support.stack import Stack
from support.wait import wait_until

QUICK = {"backoff__server_error": ",".join(["0.3s"] * 8)}
NOTICE = 'Notice: Undefined index: id in /var/www/api.php on line 12\n{"Data": true}'

# Answers to requests that took effect.
UNCLEAR: dict[str, dict[str, Any]] = {
    "500": {"code": 500},
    "503": {"code": 503},
    "408": {"code": 408},
    "520": {"code": 520},
    "524": {"code": 524},
    "302": {"fault": "redirect", "location": "/"},
    "page": {"code": 200, "body": "<html><body>Please wait</body></html>"},
    "notice": {"code": 200, "body": NOTICE},
    "null": {"code": 200, "body": "null"},
    "empty": {"code": 200, "body": ""},
    "Data is null": {"code": 200, "body": {"Data": None}},
    "message": {"code": 200, "body": {"message": "Created"}},
}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, **QUICK) as stack:
        stack.beat()
        stack.worker()
        yield stack


def unclear(stack: Stack, name: str, **match: Any) -> None:
    """Let requests take effect, and give them this answer."""
    stack.sim.fault(**{"fault": "status", "commit": True} | UNCLEAR[name] | match)


def ended(stack: Stack, job: Receipt[Any], state: JobState) -> JobView:
    wait_until(lambda: job.state() is state, within=30, what=f"{job.id} is {state}")
    return stack.producer.job(job.id)


def verdicts(view: JobView) -> list[str]:
    return [attempt.verdict for attempt in view.history.attempts()]


def person(n: int) -> str:
    return f"person{n}@example.net"


def test_response_that_may_be_stored_is_never_sent_again(stack: Stack) -> None:
    jobs = {}
    for n, name in enumerate(UNCLEAR):
        unclear(stack, name, endpoint="response", contains=f"person{n}%40")
        jobs[name] = stack.producer.enqueue(Response(region=Region.EU, fields={"Email": person(n)}))
        view = ended(stack, jobs[name], JobState.UNKNOWN)
        assert (name, verdicts(view), view.reason) == (name, ["lost_answer"], "answer lost")
        stack.producer.ledger(Region.EU).resume("")  # this test is not about the breaker
    assert stack.keys() == {job.id: 1 for job in jobs.values()}


def test_response_that_was_refused_is_sent_again_or_dead_as_ever(stack: Stack) -> None:
    stack.sim.fault("status", code=503, headers={"Retry-After": "1"}, endpoint="response", times=1)
    job = stack.producer.enqueue(Response(region=Region.EU, fields={"Email": person(0)}))
    assert verdicts(ended(stack, job, JobState.DELIVERED)) == ["throttled", "delivered"]
    missing = stack.producer.enqueue(Response(region=Region.EU, fields={"Name": "Joe"}))
    assert verdicts(ended(stack, missing, JobState.DEAD)) == ["missing_field"]


@pytest.mark.parametrize("name", ["500", "page", "empty", "302"])
def test_file_that_may_have_arrived_is_followed_to_its_rejected_rows(stack: Stack, name: str) -> None:
    stack.sim.knobs(reject_rows=[2])
    unclear(stack, name, endpoint="file")
    view = ended(stack, stack.producer.enqueue(upload()), JobState.DELIVERED)
    assert verdicts(view) == ["lost_answer"]
    assert (view.result or {})["unsuccessful"] == 1
    assert len(stack.sim.effects(kind="file")) == 1


def test_file_sent_again_and_refused_as_processed_is_followed(stack: Stack) -> None:
    """The statistics list the file only after it is sent again."""
    stack.sim.knobs(reject_rows=[2], statistics_delay=6)
    unclear(stack, "500", endpoint="file", times=1)
    view = ended(stack, stack.producer.enqueue(upload()), JobState.DELIVERED)
    assert verdicts(view) == ["lost_answer", "delivered"]
    assert (view.result or {})["unsuccessful"] == 1
    assert len(stack.sim.effects(kind="file")) == 1


def upload() -> File:
    content = base64.b64encode(f"Email,Order\n{person(1)},1\n{person(2)},2\n".encode()).decode()
    return File(region=Region.EU, family="transactional", filename="march.csv", content_base64=content)


@pytest.mark.parametrize("name", ["empty", "page"])
def test_success_that_cannot_be_read_is_sent_three_times_at_most(stack: Stack, name: str) -> None:
    unclear(stack, name, endpoint="close_loop")
    change = CloseLoop(region=Region.EU, number_customergauge="53499", status="progress", note="called")
    view = ended(stack, stack.producer.enqueue(change), JobState.UNKNOWN)
    assert (verdicts(view), view.reason) == (["unreadable_success"] * 3, "answered 200, not readable")
    assert len(stack.sim.effects(kind="close_loop")) == 3
    assert stack.producer.ledger(Region.EU).holds() == {}


def test_change_whose_second_answer_is_clear_is_delivered_with_a_warning(stack: Stack) -> None:
    stack.sim.fault("status", commit=True, code=200, body="", endpoint="close_loop", times=1)
    change = CloseLoop(region=Region.EU, number_customergauge="53499", status="progress", note="called")
    view = ended(stack, stack.producer.enqueue(change), JobState.DELIVERED)
    assert verdicts(view) == ["unreadable_success", "delivered"]
    assert any("note" in warning for warning in view.warnings)


def test_link_hidden_by_an_unclear_answer_is_unknown(stack: Stack) -> None:
    stack.sim.knobs(repeat_email_is_duplicate=True)
    for name in ("page", "500"):
        unclear(stack, name, endpoint="personal_link", contains=name, times=1)
        link = PersonalLink(region=Region.EU, configuration="multi-object", record={"Email": f"{name}@example.net"})
        view = ended(stack, stack.producer.enqueue(link), JobState.UNKNOWN)
        assert (verdicts(view)[-1], view.reason) == ("duplicate", "link lost")


def test_record_answered_with_an_odd_success_is_delivered_with_a_warning(stack: Stack) -> None:
    unclear(stack, "message", endpoint="records")
    record = Record(region=Region.EU, configuration="multi-object", record={"Email": person(1)})
    view = ended(stack, stack.producer.enqueue(record), JobState.DELIVERED)
    assert [warning.endswith(": message") for warning in view.warnings] == [True]


@pytest.mark.parametrize("name", ["500", "page"])
def test_record_with_once_set_is_unknown_after_an_unclear_answer(stack: Stack, name: str) -> None:
    unclear(stack, name, endpoint="records")
    record = Record(region=Region.EU, configuration="external-response", record={"Email": person(1)}, on_unknown="hold")
    view = ended(stack, stack.producer.enqueue(record), JobState.UNKNOWN)
    assert (verdicts(view), view.reason) == (["lost_answer"], "answer lost")
    assert len(stack.sim.effects(kind="record")) == 1


def test_success_that_says_unauthenticated_delivers_nothing(stack: Stack) -> None:
    stack.sim.fault("status", code=200, body={"message": "Unauthenticated."}, endpoint="records", times=1)
    record = Record(region=Region.EU, configuration="multi-object", record={"Email": person(1)})
    view = ended(stack, stack.producer.enqueue(record), JobState.DELIVERED)
    assert verdicts(view) == ["unauthenticated", "delivered"]
    assert len(stack.sim.effects(kind="record")) == 1
