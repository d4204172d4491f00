"""Fetch a region's Bearer token by OAuth2 client credentials.

Source: `docs/customergauge.md`, "Token". No source documents `expires_in`, so it is optional. A failed request for a
token sends nothing of a job: a lost answer is `unreachable` for the job.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode

from gaugepost.verdict import Verdict
from gaugepost_tasks.answers.answer_formats import parse_json, read_laravel_refusal
from gaugepost_tasks.answers.parsed_answer import Refusal
from gaugepost_tasks.answers.redaction import Redactor
from gaugepost_tasks.answers.retry_after import requested_wait
from gaugepost_tasks.http_messages import Answer, Endpoints, Judgement, Request

if TYPE_CHECKING:
    from collections.abc import Sequence


_HEADER_SAFE = re.compile(r"[!-~]{1,8192}")
"""Tokens that fit into a header and that servers accept."""


class Exchanger(Protocol):
    """The part of `http.HttpClient` that this module uses."""

    def exchange(self, request: Request, credential_header: str) -> Answer:
        """Send a request and return the answer."""
        ...


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A token and its lifetime in seconds (None: not stated), or the judgement why there is none."""

    token: str | None = field(default=None, repr=False)
    expires_in_s: float | None = None
    judgement: Judgement | None = None


def fetch_token(
    client: Exchanger, endpoints: Endpoints, client_id: str, client_secret: str, *, now: float
) -> TokenAnswer:
    """Request a token. `now`: Unix time in seconds, to read a Retry-After that is a date.

    Repeat once, at once, after a failure without an answer. A dropped connection proves nothing about the endpoint, and
    a second token does no harm.
    """
    request = build(endpoints, client_id, client_secret)
    answer = client.exchange(request, "")
    if answer.failure:
        answer = client.exchange(request, "")
    return read(answer, now=now, secrets=(client_id, client_secret))


def build(endpoints: Endpoints, client_id: str, client_secret: str) -> Request:
    """Build the form `grant_type=client_credentials&client_id=…&client_secret=…`."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    return Request("POST", endpoints.token, headers, urlencode(form).encode("ascii"), "none")


def read(answer: Answer, *, now: float, secrets: Sequence[str] = ()) -> TokenAnswer:
    """Read `access_token` and, if it is usable, `expires_in`. `secrets`: texts to remove from an error message."""
    document = parse_json(answer.body)
    token = document.get("access_token") if isinstance(document, dict) else None
    usable = isinstance(token, str) and _HEADER_SAFE.fullmatch(token) is not None
    if answer.ok and not answer.failure and not answer.truncated and isinstance(document, dict) and usable:
        return TokenAnswer(str(token), _lifetime(document.get("expires_in")))
    refusal = read_laravel_refusal(document)
    message = Redactor(secrets).clean(refusal.message) if isinstance(refusal, Refusal) else ""
    return TokenAnswer(judgement=_judge(answer, message, now))


def _judge(answer: Answer, message: str, now: float) -> Judgement:
    if answer.at_proxy:
        return Judgement(Verdict.UNREACHABLE, answer.detail, at_proxy=True)
    if answer.failure:
        return Judgement(Verdict.UNREACHABLE, f"no token: {answer.detail}")
    description = f"token endpoint: HTTP {answer.status}" + (f", {message}" if message else "")
    match answer.status:
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNAUTHORIZED:
            return Judgement(Verdict.REFUSED_CREDENTIALS, description)
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Judgement(Verdict.THROTTLED, description, retry_after_s=requested_wait(answer, now))
        case HTTPStatus.SERVICE_UNAVAILABLE if "retry-after" in answer.headers:
            return Judgement(Verdict.THROTTLED, description, retry_after_s=requested_wait(answer, now))
        case _:
            return Judgement(Verdict.SERVER_ERROR, description)


def _lifetime(value: object) -> float | None:
    """Return a number of seconds above zero, which may be text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
