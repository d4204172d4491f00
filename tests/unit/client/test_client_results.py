"""Wait for results: what a job's end returns or raises, in both producers."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import JobCancelled, JobDead, JobEnded, JobExpired, PersonalLinkResult, Producer, Region, ResultTimeout
from gaugepost.transitions import Attempt, Dead, Delivered
from gaugepost.verdict import Verdict
from support.both_producers import end
from support.factories import link, record
from support.worker_ledger import worker_ledger

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.usefixtures("bare_environment")
LINKS = {"number_customergauge": 5, "survey_link": "https://long", "survey_link_short": "https://s"}


def test_the_result_is_that_of_its_kind(producer: Any, blocking: Producer) -> None:
    job = producer.enqueue(link())
    end(blocking, job.id, Delivered(LINKS))
    result = job.result(timeout=5)
    assert result == PersonalLinkResult(**LINKS)
    assert producer.result(job.id, 0) == result


def test_result_waits_until_the_job_has_ended(blocking: Producer) -> None:
    job = blocking.enqueue(link())
    timer = threading.Timer(0.05, end, (blocking, job.id, Delivered(LINKS)))
    timer.start()
    assert job.result(timeout=10).survey_link_short == "https://s"
    timer.join()


def test_result_times_out_and_says_that_the_job_continues(producer: Any) -> None:
    job = producer.enqueue(record())
    with pytest.raises(ResultTimeout, match=f"job {job.id} is still queued"):
        job.result(timeout=0.01)
    assert issubclass(ResultTimeout, TimeoutError)


def test_result_error_names_that_no_worker_runs(producer: Any, blocking: Producer) -> None:
    job = producer.enqueue(record())
    why = "" if hasattr(blocking, "memory") else " (no worker of eu has been seen (never))"
    with pytest.raises(ResultTimeout, match=re.escape(f"job {job.id} is still queued{why}")):
        job.result(timeout=0)


def test_result_error_shows_why_a_job_waits(producer: Any, blocking: Producer) -> None:
    blocking.ledger(Region.EU).hold("", "maintenance", "ops")
    with pytest.raises(ResultTimeout, match="still queued \\(hold: maintenance\\)"):
        producer.enqueue(record()).result(timeout=0)


def test_a_dead_job_raises_with_its_verdict_message_and_field_errors(producer: Any, blocking: Producer) -> None:
    job = producer.enqueue(record())
    errors = {"Email": ["is required"]}
    attempt = Attempt(1, 1, 1, 422, Verdict.MISSING_FIELD, "The Email field is required.", field_errors=errors)
    end(blocking, job.id, Dead(Verdict.MISSING_FIELD), attempt)
    with pytest.raises(JobDead) as dead:
        job.result(timeout=5)
    error = dead.value
    assert (error.job_id, error.verdict, error.message) == (job.id, "missing_field", "The Email field is required.")
    assert error.field_errors == errors
    assert str(error) == f"job {job.id} is dead: missing_field (The Email field is required.)"
    assert isinstance(error, JobEnded)


def test_a_cancelled_job_raises(producer: Any) -> None:
    job = producer.enqueue(record())
    assert job.cancel()
    assert not job.cancel()
    assert job.state() == "cancelled"
    with pytest.raises(JobCancelled):
        job.result()


def test_an_expired_job_raises(producer: Any, blocking: Producer) -> None:
    job = producer.enqueue(record(expires_at="2020-01-01T00:00:00Z"))
    worker_ledger(blocking).promote()
    with pytest.raises(JobExpired):
        job.result(timeout=5)


def test_resolved_job_returns_its_result_or_raises_that_it_has_none(blocking: Producer) -> None:
    job = blocking.enqueue(record())
    end(blocking, job.id, Delivered())
    assert job.result(timeout=1) is not None
