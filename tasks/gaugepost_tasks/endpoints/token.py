"""OAuth2 client credentials: how a region's Bearer token is asked for, and what may come back.

Source: `docs/customergauge.md`, "Token". `expires_in` is in no source, so nothing here
depends on it. Of a failed token call nothing of any job was sent: an answer lost here is `unreachable` for the job.
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
"""What a header can hold, and servers take."""


class Exchanger(Protocol):
    """What `http.HttpClient` is to this module."""

    def exchange(self, request: Request, credential_header: str) -> Answer:
        """Send a request and return what came back."""
        ...


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """Either a token, with the seconds it says it lasts (None: it does not say), or why there is none."""

    token: str | None = field(default=None, repr=False)
    expires_in_s: float | None = None
    judgement: Judgement | None = None


def fetch_token(
    client: Exchanger, endpoints: Endpoints, client_id: str, client_secret: str, *, now: float
) -> TokenAnswer:
    """Ask for a token; `now` is Unix seconds, to read a Retry-After that is a date.

    A request that failed on its way is repeated at once, as a second token does no harm: a dropped connection is no
    news about the token endpoint.
    """
    request = build(endpoints, client_id, client_secret)
    answer = client.exchange(request, "")
    if answer.failure:
        answer = client.exchange(request, "")
    return read(answer, now=now, secrets=(client_id, client_secret))


def build(endpoints: Endpoints, client_id: str, client_secret: str) -> Request:
    """Write the form `grant_type=client_credentials&client_id=…&client_secret=…`."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    return Request("POST", endpoints.token, headers, urlencode(form).encode("ascii"), "none")


def read(answer: Answer, *, now: float, secrets: Sequence[str] = ()) -> TokenAnswer:
    """Read `access_token` and, tolerantly, `expires_in`. `secrets` are taken out of what an error says."""
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
    """Read a number of seconds above zero, be it text; anything else tells nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
