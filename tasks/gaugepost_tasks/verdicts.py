"""What each answer means: the table of policy.md, as one pure `match` after another. Nothing else decides it.

Three questions in turn. Did a whole answer come? Does its status alone say it? What does its text say? A text that
no row knows gets the verdict `unrecognised_…`, so that a new message of CustomerGauge is seen the same day.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, assert_never

from gaugepost.verdict import Verdict
from gaugepost_tasks.fields import verdict_on_fields
from gaugepost_tasks.handlers import HANDLERS
from gaugepost_tasks.messages import Answer, Judgement
from gaugepost_tasks.readings import Garbled, NotTaken, Reading, Refusal, Taken
from gaugepost_tasks.redact import Redactor
from gaugepost_tasks.retry_after import read_retry_after

if TYPE_CHECKING:
    from gaugepost.jobs import JobBase

_RETRIED_4XX = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.LOCKED, HTTPStatus.TOO_EARLY})
_GATEWAYS = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})
_CLIENT_ERRORS = range(400, 500)
_NO_MAPPING = re.compile(r"inbound mapping \[.*\] was not found")
_EMPTY_FIELD = "required but seems to be empty"

HAD_IT = "the answer to an earlier sending was lost; CustomerGauge says that it had been carried out"
"""Warning on a job that counts as delivered because its second sending was refused as already done."""


def judge(job: JobBase, answer: Answer, *, fresh_token: bool, lost_before: bool, now: float) -> Judgement:
    """Name an answer to a job's request.

    `fresh_token`: the token was fetched after this job had met a 401. `lost_before`: an earlier sending of this job
    had its answer lost. `now`: Unix seconds, to read a Retry-After that is a date. Never raises, whatever came.
    """
    if answer.failure == "unreachable":
        return Judgement(Verdict.UNREACHABLE, answer.detail, at_proxy=answer.at_proxy)  # words of our own
    if answer.failure == "lost_answer" or answer.status is None or answer.status in _GATEWAYS:
        return Judgement(Verdict.LOST_ANSWER, Redactor().clean(answer.detail or _spell_status(answer)))
    return _judge_status(job, answer, fresh_token=fresh_token, now=now) or _judge_text(job, answer, lost_before)


def _judge_status(job: JobBase, answer: Answer, *, fresh_token: bool, now: float) -> Judgement | None:
    """Judge by the status alone; None where the text has the word."""
    match answer.status:
        case HTTPStatus.TOO_MANY_REQUESTS:
            return throttled(answer, now)
        case HTTPStatus.SERVICE_UNAVAILABLE if "retry-after" in answer.headers:
            return throttled(answer, now)
        case HTTPStatus.UNAUTHORIZED if job.needs == "oauth" and not fresh_token:
            return Judgement(Verdict.UNAUTHENTICATED, "the token was refused")
        case HTTPStatus.UNAUTHORIZED:
            return Judgement(Verdict.REFUSED_CREDENTIALS, "the credentials were refused")
        case int() as status if answer.ok or (status in _CLIENT_ERRORS and status not in _RETRIED_4XX):
            return None
        case _:
            return Judgement(Verdict.SERVER_ERROR, _spell_status(answer))


def throttled(answer: Answer, now: float) -> Judgement:
    """Judge an answer that asks to wait, for how long if it says so."""
    after = read_retry_after(answer.headers.get("retry-after"), now, answer.headers.get("date"))
    return Judgement(Verdict.THROTTLED, _spell_status(answer), retry_after_s=after)


def _judge_text(job: JobBase, answer: Answer, lost_before: bool) -> Judgement:  # noqa: FBT001 - private
    match _read(job, answer):
        case Taken(result, refused_parts) if answer.ok:
            verdict = Verdict.DELIVERED_IN_PART if refused_parts else Verdict.DELIVERED
            warnings = tuple(f"CustomerGauge did not take the {part}" for part in refused_parts)
            return Judgement(verdict, result=result, warnings=warnings)
        case Taken() | Garbled():
            return Judgement(
                Verdict.SERVER_ERROR, f"{_spell_status(answer)} with a body that this endpoint never answers"
            )
        case NotTaken():
            return Judgement(_unrecognised(answer.status), "Data is false, without a reason")
        case Refusal() as refusal:
            return _judge_refusal(job, answer.status, refusal, lost_before)
        case _ as never:  # pragma: no cover
            assert_never(never)


def _read(job: JobBase, answer: Answer) -> Reading:
    return Garbled() if answer.truncated else HANDLERS[job.kind].read(job, answer)


def _judge_refusal(job: JobBase, status: int | None, refusal: Refusal, lost_before: bool) -> Judgement:  # noqa: FBT001 - private
    verdict = _name(job, status, refusal)
    done_before = (job.kind, verdict) == ("file", Verdict.DUPLICATE) or _is_gone(job, refusal)
    if lost_before and done_before:
        return Judgement(Verdict.DELIVERED, warnings=(HAD_IT,))
    cells = HANDLERS[job.kind].cells(job)
    redactor = Redactor(cells.values())
    return Judgement(verdict, redactor.clean(refusal.message), redactor.clean_fields(refusal.field_errors, cells))


def _name(job: JobBase, status: int | None, refusal: Refusal) -> Verdict:  # noqa: PLR0911 - a row a verdict
    """Name a refusal by kind, status, v4.1's code and text: the rows of policy.md, the most special ones first."""
    text = _all_texts(refusal)
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
            return verdict_on_fields(refusal, HANDLERS[job.kind].cells(job))
        case "response" | "file" | "file_delete", _, code:
            return _name_v41(job, status, code, text)
        case _:
            return _unrecognised(status)


def _name_v41(job: JobBase, status: int | None, code: int | None, text: str) -> Verdict:
    """Name a v4.1 refusal by its code, and by its text where one code has several meanings.

    Source: error codes, `../shared/api/customergauge.md` section 1.1. 2000 is how its sample spells 200000.
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
    """Tell whether an upload to delete is not there: 400200 is a missing file here, a missing case elsewhere."""
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
    """Return the message and all field errors, to be searched without regard to case and line breaks."""
    texts = [refusal.message, *(text for told in refusal.field_errors.values() for text in told)]
    return " ".join(" ".join(texts).casefold().split())


def _spell_status(answer: Answer) -> str:
    return "no status" if answer.status is None else f"HTTP {answer.status}"
