"""Name each answer of CustomerGauge: the first table of `docs/policy.md`, as pure functions.

`judge` asks three questions in this order. Did a whole answer arrive? Does its status decide? Does its text decide?
A text that no rule knows gets a verdict `unrecognised_…`. An alert fires on it, so that an operator learns of a new
message of CustomerGauge on the same day.
"""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, assert_never

from gaugepost.verdict import Verdict
from gaugepost_tasks.answers.answer_formats import parse_json
from gaugepost_tasks.answers.field_errors import verdict_on_fields
from gaugepost_tasks.answers.parsed_answer import Accepted, Malformed, NotAccepted, Refusal
from gaugepost_tasks.answers.redaction import Redactor
from gaugepost_tasks.answers.retry_after import requested_wait
from gaugepost_tasks.http_messages import Judgement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gaugepost.jobs import JobBase
    from gaugepost.transitions import Attempt
    from gaugepost_tasks.answers.parsed_answer import Reply
    from gaugepost_tasks.http_messages import Answer

_RETRIED_4XX = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.LOCKED, HTTPStatus.TOO_EARLY})
_NOT_STARTED = frozenset({HTTPStatus.LOCKED, HTTPStatus.TOO_EARLY})
_GATEWAYS = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})
_CLIENT_ERRORS = range(400, 500)
_NO_MAPPING = re.compile(r"inbound mapping \[.*\] was not found")
_EMPTY_FIELD = "required but seems to be empty"
_UNAUTHENTICATED = "unauthenticated"

ALREADY_DONE = "an earlier attempt had no clear answer; CustomerGauge now says that it was carried out"
"""Warning on a delivered job: CustomerGauge refused its second sending because the first was carried out."""

_NOT_CARRIED_OUT = frozenset(
    {Verdict.UNREACHABLE, Verdict.THROTTLED, Verdict.UNAUTHENTICATED, Verdict.REFUSED_CREDENTIALS}
)
_UNCLEAR = frozenset({Verdict.LOST_ANSWER, Verdict.UNREADABLE_SUCCESS})


def may_be_done(job: JobBase, attempts: Iterable[Attempt]) -> bool:
    """Return whether an earlier attempt may have taken effect. Only a recognised refusal rules that out.

    The name of an uploaded file is unique. So "already processed" can only mean an earlier attempt of this job, unless
    every earlier attempt failed before CustomerGauge accepted the request.
    """
    if job.kind == "file":
        return any(attempt.verdict not in _NOT_CARRIED_OUT for attempt in attempts)
    return any(
        attempt.verdict in _UNCLEAR or (attempt.verdict is Verdict.SERVER_ERROR and attempt.status is not None)
        for attempt in attempts
    )


def judge(reply: Reply, *, fresh_token: bool, may_be_done: bool, now: float, secrets: Sequence[str] = ()) -> Judgement:
    """Name the answer to a job's request. Never raise, whatever the answer holds.

    `fresh_token`: the worker fetched the token after this job got a 401. `may_be_done`: CustomerGauge may have carried
    out an earlier attempt of this job. `now`: Unix time in seconds, to read a Retry-After that is a date. `secrets`:
    texts to remove from the message of a refused credential.
    """
    job, answer = reply.job, reply.answer
    if answer.failure == "unreachable":
        return Judgement(Verdict.UNREACHABLE, answer.detail, at_proxy=answer.at_proxy)  # our own text: safe
    if answer.failure == "lost_answer" or answer.status is None or answer.status in _GATEWAYS:
        return Judgement(Verdict.LOST_ANSWER, Redactor().clean(answer.detail or _status_text(answer)))
    judgement = _judge_status(job, answer, fresh_token=fresh_token, now=now) or _judge_text(reply, may_be_done)
    if judgement.verdict is Verdict.REFUSED_CREDENTIALS:
        judgement = replace(judgement, message=_refusal_message(reply, secrets))
    return replace(judgement, verdict=Verdict.LOST_ANSWER) if _may_have_worked(job, answer, judgement) else judgement


def _may_have_worked(job: JobBase, answer: Answer, judgement: Judgement) -> bool:
    """Return whether a request that must not be repeated may have taken effect in spite of its answer.

    A 4xx with an unknown body means that the server did not accept the request, except 408. A 5xx or an unreadable
    success leaves that open.
    """
    if not (job.once or job.kind == "response"):
        return False
    if judgement.verdict is Verdict.SERVER_ERROR:
        let_in = answer.status not in _CLIENT_ERRORS or answer.status == HTTPStatus.REQUEST_TIMEOUT
        return let_in and answer.status not in _NOT_STARTED
    return judgement.verdict is Verdict.UNREADABLE_SUCCESS


def _judge_status(job: JobBase, answer: Answer, *, fresh_token: bool, now: float) -> Judgement | None:
    """Judge by the status alone. Return None where the text must decide."""
    if answer.ok:
        return _refused_credential(job, fresh_token) if _says_unauthenticated(answer) else None
    match answer.status:
        case HTTPStatus.TOO_MANY_REQUESTS:
            return _throttled(answer, now)
        case HTTPStatus.SERVICE_UNAVAILABLE if "retry-after" in answer.headers:
            return _throttled(answer, now)
        case HTTPStatus.UNAUTHORIZED:
            return _refused_credential(job, fresh_token)
        case int() as status if status in _CLIENT_ERRORS and status not in _RETRIED_4XX:
            return None
        case _:
            return Judgement(Verdict.SERVER_ERROR, _status_text(answer))


def _refused_credential(job: JobBase, fresh_token: bool) -> Judgement:  # noqa: FBT001 - private
    """Judge a refused credential. The first refusal of a token only asks for a new one: it may just have expired."""
    if job.needs == "oauth" and not fresh_token:
        return Judgement(Verdict.UNAUTHENTICATED, "the token was refused")
    return Judgement(Verdict.REFUSED_CREDENTIALS)


def _refusal_message(reply: Reply, secrets: Sequence[str]) -> str:
    """Name the endpoints that refuse a credential, and their message: `responses: HTTP 401, Invalid API key`."""
    refusal = reply.parsed if isinstance(reply.parsed, Refusal) else Refusal("")
    words = Redactor([*secrets, *_personal_values(reply)]).clean(refusal.message)
    return f"{reply.job.endpoints}: {_status_text(reply.answer)}" + (f", {words}" if words else "")


def _says_unauthenticated(answer: Answer) -> bool:
    """Return whether an answer with status 2xx refuses the credential by the message "Unauthenticated."."""
    if _UNAUTHENTICATED.encode() not in answer.body.lower():
        return False
    document = parse_json(answer.body)
    message = document.get("message") if isinstance(document, dict) else None
    return isinstance(message, str) and message.strip(" .").casefold() == _UNAUTHENTICATED


def _throttled(answer: Answer, now: float) -> Judgement:
    """Judge an answer that asks to wait. Keep its Retry-After, if it has one."""
    return Judgement(Verdict.THROTTLED, _status_text(answer), retry_after_s=requested_wait(answer, now))


def cap_retry_after(judgement: Judgement, limit_s: float) -> Judgement:
    """Limit a Retry-After to `limit_s` seconds, and note the cut in the message."""
    wait_s = judgement.retry_after_s
    if wait_s is None or wait_s <= limit_s:
        return judgement
    message = f"{judgement.message}, Retry-After of {wait_s:.0f} s cut to {limit_s:.0f} s"
    return replace(judgement, message=message, retry_after_s=limit_s)


def _judge_text(reply: Reply, may_be_done: bool) -> Judgement:  # noqa: FBT001 - private
    answer = reply.answer
    match reply.parsed:
        case Accepted(result, refused_parts, warnings) if answer.ok:
            verdict = Verdict.DELIVERED_IN_PART if refused_parts else Verdict.DELIVERED
            warnings += tuple(f"CustomerGauge did not accept the {part}" for part in refused_parts)
            return Judgement(verdict, result=result, warnings=warnings)
        case Accepted() | Malformed():
            verdict = Verdict.UNREADABLE_SUCCESS if answer.ok else Verdict.SERVER_ERROR
            return Judgement(verdict, f"{_status_text(answer)} with an unexpected body")
        case NotAccepted():
            return Judgement(_unrecognised(answer.status), "Data is false, without a reason")
        case Refusal() as refusal:
            return _judge_refusal(reply, refusal, may_be_done)
        case _ as never:  # pragma: no cover
            assert_never(never)


def _judge_refusal(reply: Reply, refusal: Refusal, may_be_done: bool) -> Judgement:  # noqa: FBT001 - private
    verdict = _name_refusal(reply, refusal)
    done_before = (reply.job.kind, verdict) == ("file", Verdict.DUPLICATE) or _is_gone(reply.job, refusal)
    if may_be_done and done_before:
        return Judgement(Verdict.DELIVERED, warnings=(ALREADY_DONE,))
    redactor = Redactor(_personal_values(reply))
    field_errors = redactor.clean_fields(refusal.field_errors, reply.sent_fields)
    return Judgement(verdict, redactor.clean(refusal.message), field_errors)


def _personal_values(reply: Reply) -> list[object]:
    """Return the sent values that may be personal data. A configuration is none, and may be a common word."""
    configuration = getattr(reply.job, "configuration", None)
    return [value for value in reply.sent_fields.values() if value != configuration]


def _name_refusal(reply: Reply, refusal: Refusal) -> Verdict:  # noqa: PLR0911 - a row a verdict
    """Name a refusal by kind, status, code of v4.1 and text. The most specific rules come first."""
    job, status, text = reply.job, reply.answer.status, _all_texts(refusal)
    match job.kind, status, refusal.code:
        case "personal_link", 400, _ if "could not match any campaign filter" in text:
            return Verdict.NO_CAMPAIGN
        case "personal_link", 400, _ if "duplicates with another record" in text:
            return Verdict.DUPLICATE
        case "record" | "personal_link", 404, _ if _NO_MAPPING.search(text):
            return Verdict.UNKNOWN_MAPPING
        case "record" | "personal_link", 422, _ if "data type is invalid, only" in text:
            return Verdict.WRONG_MAPPING_TYPE
        case "record" | "personal_link" | "close_loop", 422, _:
            return verdict_on_fields(refusal, reply.sent_fields)
        case "response" | "file" | "file_delete", _, code:
            return _name_v41(job, status, code, text)
        case _:
            return _unrecognised(status)


def _name_v41(job: JobBase, status: int | None, code: int | None, text: str) -> Verdict:
    """Name a v4.1 refusal by its code, and by its text where a code has several meanings.

    Source: `docs/customergauge.md`, "Error codes of v4.1". One documented sample writes 2000 for 200000.
    """
    match code:
        case 200000 | 2000:
            return Verdict.REFUSED_CREDENTIALS
        case 300004:
            return Verdict.MISSING_FIELD
        case 400003 | 400010 | None if _EMPTY_FIELD in text:
            return Verdict.MISSING_FIELD
        case 300001 | 400007 | 400008 | 400011:
            return Verdict.INVALID_VALUE
        case 400103 if job.kind == "file":
            return Verdict.DUPLICATE
        case _:
            return _unrecognised(status)


def _is_gone(job: JobBase, refusal: Refusal) -> bool:
    """Return whether the upload to delete does not exist. Code 400200 means a missing file only for this endpoint."""
    return job.kind == "file_delete" and (refusal.code == 400200 or "file not found" in _all_texts(refusal))  # noqa: PLR2004 - v4.1's code


def _unrecognised(status: int | None) -> Verdict:
    match status:
        case 404:
            return Verdict.UNRECOGNISED_404
        case 422:
            return Verdict.UNRECOGNISED_422
        case int() if status in _CLIENT_ERRORS:
            return Verdict.UNRECOGNISED_400
        case _:
            return Verdict.UNRECOGNISED_200


def _all_texts(refusal: Refusal) -> str:
    """Return the message and all field errors in lower case, with single spaces."""
    texts = [refusal.message, *(text for texts_of_field in refusal.field_errors.values() for text in texts_of_field)]
    return " ".join(" ".join(texts).casefold().split())


def _status_text(answer: Answer) -> str:
    return "no status" if answer.status is None else f"HTTP {answer.status}"
