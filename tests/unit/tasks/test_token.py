from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugepost.verdict import Verdict
from gaugepost_tasks.endpoints import token
from gaugepost_tasks.http_messages import Answer, Judgement

NOW = 0.0

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost_tasks.http_messages import Endpoints, Request

    MakeAnswer = Callable[..., Answer]


def read(answer: Answer) -> token.TokenAnswer:
    return token.read(answer, now=NOW, secrets=("my-id", "my-secret"))


def test_the_request_is_the_documented_form(endpoints: Endpoints) -> None:
    request = token.build(endpoints, "my-id", "s&cret ")
    assert (request.method, request.auth) == ("POST", "none")
    assert request.url == "https://auth.eu.customergauge.com/oauth2/token"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["my-id"],
        "client_secret": ["s&cret "],
    }
    assert "s&cret" not in repr(request)


def test_a_token_is_fetched_in_one_exchange(endpoints: Endpoints, answer: MakeAnswer) -> None:
    class Client:
        def exchange(self, request: Request, credential_header: str) -> Answer:
            assert (request.auth, credential_header) == ("none", "")
            return answer(200, {"access_token": "abc", "expires_in": 3600})

    got = token.fetch_token(Client(), endpoints, "i", "s", now=NOW)
    assert (got.token, got.expires_in_s, got.judgement) == ("abc", 3600.0, None)
    assert "abc" not in repr(got)


def test_failed_token_request_is_repeated_once(endpoints: Endpoints, answer: MakeAnswer) -> None:
    class Client:
        def __init__(self, *answers: Answer) -> None:
            self.answers = list(answers)

        def exchange(self, request: Request, credential_header: str) -> Answer:
            del request, credential_header
            return self.answers.pop(0)

    def fetch(*answers: Answer) -> tuple[token.TokenAnswer, list[Answer]]:
        client = Client(*answers)
        return token.fetch_token(client, endpoints, "i", "s", now=NOW), client.answers

    good = answer(200, {"access_token": "abc"})
    lost, gone = (Answer(None, failure=how, detail="x") for how in ("lost_answer", "unreachable"))
    assert [fetch(lost, good)[0].token, fetch(gone, good)[0].token] == ["abc", "abc"]
    failed, left = fetch(lost, gone, good)
    assert failed.judgement is not None
    assert (failed.judgement.verdict, left) == (Verdict.UNREACHABLE, [good])
    assert fetch(answer(500), good)[1] == [good]


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [(3600, 3600.0), ("1800", 1800.0), (1.5, 1.5)]
    + [(junk, None) for junk in (None, True, "soon", 0, -5, "inf", [], 10**400, "nan")],
)
def test_lifetime_is_read_and_junk_is_none(answer: MakeAnswer, expires_in: object, seconds: float | None) -> None:
    got = read(answer(200, {"access_token": "abc", "expires_in": expires_in}))
    assert (got.token, got.expires_in_s) == ("abc", seconds)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (400, {"error": "invalid_client"}, Verdict.REFUSED_CREDENTIALS),
        (401, b"", Verdict.REFUSED_CREDENTIALS),
        (429, b"", Verdict.THROTTLED),
        (503, b"", Verdict.SERVER_ERROR),
        (404, b"<html>", Verdict.SERVER_ERROR),
        (200, {"token": "abc"}, Verdict.SERVER_ERROR),
        (200, {"access_token": ""}, Verdict.SERVER_ERROR),
        (200, {"access_token": "a\nb"}, Verdict.SERVER_ERROR),
        (200, {"access_token": 5}, Verdict.SERVER_ERROR),
        (201, b"[]", Verdict.SERVER_ERROR),
    ],
)
def test_answer_without_token_is_judged(answer: MakeAnswer, status: int, body: object, verdict: Verdict) -> None:
    got = read(answer(status, body))
    assert (got.token, got.judgement.verdict) == (None, verdict)


def test_throttled_token_endpoint_keeps_retry_after(answer: MakeAnswer) -> None:
    assert read(answer(429, b"", retry_after="7")).judgement.retry_after_s == 7
    busy = read(answer(503, b"", retry_after="Thu, 01 Jan 1970 00:00:09 GMT")).judgement
    assert (busy.verdict, busy.retry_after_s) == (Verdict.THROTTLED, 9)


@pytest.mark.parametrize("failure", ["unreachable", "lost_answer"])
def test_an_answer_lost_here_leaves_the_job_unsent(failure: str) -> None:
    got = read(Answer(None, failure=failure, detail="timed out"))
    assert (got.judgement.verdict, got.judgement.message) == (Verdict.UNREACHABLE, "no token: timed out")


def test_proxy_failure_is_marked() -> None:
    got = read(Answer(None, failure="unreachable", detail="proxy: 10.20.30.40:3128: timed out", at_proxy=True))
    assert got.judgement == Judgement(Verdict.UNREACHABLE, "proxy: 10.20.30.40:3128: timed out", at_proxy=True)


def test_truncated_body_yields_no_token() -> None:
    got = read(Answer(200, body=b'{"access_token": "abc"}', truncated=True))
    assert got.judgement.verdict is Verdict.SERVER_ERROR


def test_error_message_has_no_credentials(answer: MakeAnswer) -> None:
    got = read(answer(400, {"error": "invalid", "error_description": "client my-id with my-secret is unknown"}))
    assert got.judgement.message == "token endpoint: HTTP 400, client […] with […] is unknown"


@given(st.integers(100, 599), st.binary())
def test_any_bytes_are_read_without_an_error(status: int, body: bytes) -> None:
    got = read(Answer(status, body=body))
    assert (got.token is None) == (got.judgement is not None)
