"""Shared fixtures: a job of each kind, answers, judgements, clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost.jobs import AnyJob, parse_job
from gaugepost_tasks.answers.verdicts import judge
from gaugepost_tasks.endpoints.handlers import parse_answer
from gaugepost_tasks.http import HttpClient
from gaugepost_tasks.http_messages import Answer, Endpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gaugepost_tasks.http_messages import Judgement

MAPPING = "53505294-0b20-2509-b15d-c8e377701d66"
NOW = 1_795_305_600.0  # 2026-11-22 00:00 UTC
JOBS: dict[str, dict[str, Any]] = {
    "record": {"configuration": MAPPING, "record": {"Account Name": "ACME", "Email": "joe.doe@example.com"}},
    "personal_link": {"configuration": MAPPING, "record": {"First Name": "Joe", "Email": "joe.doe@example.com"}},
    "close_loop": {"number_customergauge": "53499", "status": "progress", "note": "Will get in touch about this"},
    "response": {"fields": {"CustomerNumber": "1143", "Email": "lee_klameth@directness.net"}},
    "file_delete": {"upload_id": 12},
}


def make_job(kind: str, **more: object) -> AnyJob:
    if kind != "file":
        return parse_job({"kind": kind, "region": "eu"} | JOBS[kind] | more)
    fields = {"kind": kind, "region": "eu", "family": "transactional", "filename": "march.csv"}
    fields |= {"content_base64": "ZW1haWwKYUBiLmMK"} | more
    job, _ = parse_job(fields).load()  # type: ignore[union-attr]
    return job


def make_answer(status: int, data: object = b"", **headers: str) -> Answer:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def verdict_on(
    job: AnyJob, answer: Answer, *, fresh_token: bool = False, may_be_done: bool = False, secrets: tuple[str, ...] = ()
) -> Judgement:
    return judge(parse_answer(job, answer), fresh_token=fresh_token, may_be_done=may_be_done, now=NOW, secrets=secrets)


@pytest.fixture(scope="session")
def job() -> Callable[..., AnyJob]:
    """Create a job of a kind. Keywords are further fields."""
    return make_job


@pytest.fixture(scope="session")
def answer() -> Callable[..., Answer]:
    """Create an answer from a status, a body (bytes, or data for JSON) and headers."""
    return make_answer


@pytest.fixture(scope="session")
def judged() -> Callable[..., Judgement]:
    """Judge an answer at a fixed time, with a first token and no unclear earlier attempt."""
    return verdict_on


@pytest.fixture(scope="session")
def endpoints() -> Endpoints:
    """Endpoints of the region eu at CustomerGauge's own hosts."""
    return Endpoints.of("eu")


@pytest.fixture(params=["direct", "urllib3"])
def new_client(request: pytest.FixtureRequest) -> Iterator[Callable[..., HttpClient]]:
    """Create a client. Each test runs on both adapters."""
    made: list[HttpClient] = []

    def new(*timeouts_and_pool_size: float, **more: Any) -> HttpClient:
        made.append(HttpClient(*timeouts_and_pool_size, adapter=request.param, **more))
        return made[-1]

    yield new
    for client in made:
        client.close()


@pytest.fixture
def client(new_client: Callable[..., HttpClient]) -> HttpClient:
    """Return a client with short timeouts that reads at most 100,000 bytes of an answer."""
    return new_client(2, 2, 4, max_answer_bytes=100_000)
