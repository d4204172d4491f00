"""`Producer` and `AsyncProducer`, as services use them, over a real Redis; and those of `gaugepost.testing`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import InvalidJob, JobNotFound, JobState, Producer, Region
from support.both_producers import Asynchronous
from support.factories import link, record, response, upload

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("bare_environment")


def test_enqueued_job_is_accepted_and_can_be_found(producer: Any) -> None:
    job = producer.enqueue(link(source="crm"))
    assert (job.region, job.accepted_as, job.duplicate, job.state()) == (Region.EU, "queued", False, "queued")
    assert [entry["event"] for entry in job.timeline()] == ["enqueued"]
    assert producer.job(job.id).job["source"] == "crm"
    assert producer.state(job.id) is JobState.QUEUED


def test_an_idempotency_key_of_the_call_wins_over_the_jobs_own(producer: Any) -> None:
    first = producer.enqueue(record(idempotency_key="a"), idempotency_key="b")
    other = producer.enqueue(record(idempotency_key="a"))
    again = producer.enqueue(record(), idempotency_key="b")
    assert (other.duplicate, again.duplicate) == (False, True)
    assert again.id == first.id
    assert producer.job(first.id).job["idempotency_key"] == "b"


@pytest.mark.parametrize("key", ["", "x" * 201], ids=["empty", "long"])
def test_an_idempotency_key_that_is_none_is_refused(producer: Any, key: str) -> None:
    with pytest.raises(InvalidJob):
        producer.enqueue(record(), idempotency_key=key)


def test_idempotency_key_that_is_not_utf8_is_refused(producer: Any) -> None:
    with pytest.raises(InvalidJob, match="idempotency_key: expected text that can be encoded as UTF-8"):
        producer.enqueue(record(), idempotency_key="\ud800")


def test_text_of_a_job_that_is_not_utf8_is_refused(producer: Any) -> None:
    with pytest.raises(InvalidJob, match="comment: expected text that can be encoded as UTF-8"):
        producer.enqueue(response(comment="\ud800"))


@pytest.mark.parametrize("call", ["job", "state", "timeline", "cancel", "result"])
def test_unknown_job_id_is_not_found(producer: Any, call: str) -> None:
    with pytest.raises(JobNotFound):
        getattr(producer, call)("0" * 32)


def test_a_job_is_found_in_whatever_region_it_is(producer: Any) -> None:
    for region in ("eu", "us", "au"):
        job = producer.enqueue(record(region=region))
        assert producer.job(job.id).region == region
        assert job.cancel()


def test_mapping_is_enqueued_as_the_job_that_it_describes(producer: Any) -> None:
    job = {"kind": "record", "region": "eu", "configuration": "map", "record": {"Email": "a@b.example"}}
    one, [other] = producer.enqueue(job, idempotency_key="k"), producer.enqueue_many([job])
    assert producer.job(one.id).job["idempotency_key"] == "k"
    assert producer.job(other.id).job["record"] == {"Email": "a@b.example"}


@pytest.mark.parametrize("job", [None, "record", 7, ["record"], {"kind": "fax"}, {}], ids=repr)
def test_non_job_is_refused_with_the_expected_type(producer: Any, job: object) -> None:
    with pytest.raises(InvalidJob, match=r"expected a job such as Record|kind: "):
        producer.enqueue(job)


def test_job_of_a_region_that_is_not_served_is_refused(producer: Any, blocking: Producer) -> None:
    inner = producer.producer if isinstance(producer, Asynchronous) else blocking
    inner.settings = inner.settings.model_copy(update={"regions": (Region.EU,)})
    with pytest.raises(InvalidJob) as refused:
        producer.enqueue(record(region="us"))
    assert str(refused.value) == "region: not served here: expected one of GAUGEPOST_REGIONS (eu)"
    with pytest.raises(InvalidJob, match="not served here"):
        producer.forecast(Region.US, 1)


def test_both_producers_have_uploads_and_forecast(producer: Any, blocking: Producer, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"Email\na@b.example\n")
    ours: Any = producer.producer.uploads if isinstance(producer, Asynchronous) else blocking.uploads
    ask = producer.run if isinstance(producer, Asynchronous) else (lambda found: found)
    opened, parts = ask(ours.plan(path, Region.EU, "contact"))
    with opened:
        files = ask(ours.upload(opened, parts, Region.EU, "contact"))
    assert ask(ours.view(files.id)).counts() == {"waiting": 1}
    assert ask(ours.cancel(files.id)) == 1
    assert ask(ours.undo(files.id)) == []
    with pytest.raises(InvalidJob, match="no rejected row"):
        ask(ours.rejects(files.id))
    assert len(producer.forecast(Region.EU, 2)) == 2


def test_file_is_read_by_the_process_that_enqueues(producer: Any, blocking: Producer, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"Email\na@b.example\n")
    job = producer.enqueue(upload(filename=None, content_base64=None, path=str(tmp_path / "a.csv")))
    assert job.accepted_as == "waiting"
    assert blocking.ledger(Region.EU).file_sets.content(job.id) == b"Email\na@b.example\n"
