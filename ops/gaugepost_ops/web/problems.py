"""Errors as `application/problem+json` (RFC 9457), with the texts of the command line. They quote no value of a job."""

from __future__ import annotations

import errno
import json
import math
import tempfile
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any

import structlog
from starlette.responses import Response

from gaugepost.errors import (
    BacklogFull,
    BatchConflict,
    DataSealed,
    GaugepostError,
    IdempotencyConflict,
    InvalidJob,
    InvalidQuery,
    JobNotFound,
    LedgerClosed,
    StoreError,
    StoreFull,
    StoreUnreachable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic import ValidationError

log = structlog.get_logger("gaugepost.gateway")

MOST_ERRORS = 100
"""Wrong fields in one answer, at most."""

_RETRY_AFTER = {BacklogFull: 30, LedgerClosed: 30, StoreError: 2}
_FORESEEN = (BacklogFull, BatchConflict, LedgerClosed, StoreFull, StoreUnreachable)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""EFBIG: a limit such as systemd's LimitFSIZE."""
_OF_THE_GATEWAY = "the gateway cannot use Redis: its log has the reason"


class Refused(Exception):  # noqa: N818 - it ends a request on purpose
    """Ends a request with this status. `more`: further members of the problem, such as `errors`."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - members of a JSON object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def to_dict(self) -> dict[str, Any]:
        """Return the members of the problem."""
        head = {"type": "about:blank", "title": self.status.phrase, "status": int(self.status), "detail": self.detail}
        return head | self.more

    def response(self) -> Response:
        """Return the answer."""
        body = json.dumps(self.to_dict()).encode()
        return Response(body, self.status, self.headers, media_type="application/problem+json")


def of_disk(error: Exception) -> Exception:
    """Return the refusal for a full disk; any other error as it is."""
    if not isinstance(error, OSError) or error.errno not in _FULL:
        return error
    log.warning("disk full", folder=tempfile.gettempdir())
    detail = "the disk of this gateway is full: try again later"
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "30"})


def too_soon(wait_ms: int) -> Refused:
    """Return the refusal of a request that is over the rate of its key."""
    seconds = max(1, math.ceil(wait_ms / 1000))
    detail = f"this key has used up its rate: try again in {seconds} s"
    return Refused(HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": str(seconds)})


def invalid(problems: Iterable[tuple[int, InvalidJob]]) -> Refused:
    """Return the refusal of invalid jobs, each with its place in the array, from 0."""
    wrong = list(problems)
    count = sum(len(job.problems) for _, job in wrong)
    errors = list(islice((error for index, job in wrong for error in errors_of(job, index)), MOST_ERRORS))
    shown = [f"job {error['index']}: {_text(error)}" if error["index"] else _text(error) for error in errors[:3]]
    more = f"; and {count - 3} more" if count > len(shown) else ""
    detail = f"nothing was stored: {'; '.join(shown)}{more}"
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


def wrong_fields(error: ValidationError) -> Refused:
    """Return the refusal of a body whose fields are wrong; it quotes none of them."""
    errors = [
        {
            "field": ".".join(map(str, one["loc"])),
            "message": one["msg"].removeprefix("Value error, ").replace("Input should be", "expected"),
        }
        for one in error.errors(include_input=False, include_url=False)[:MOST_ERRORS]
    ]
    detail = "; ".join(f"{one['field']}: {one['message']}".removeprefix(": ") for one in errors)
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


def errors_of(job: InvalidJob, index: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the wrong fields of a job."""
    place = {} if index is None else {"index": index}
    yield from (place | {"field": one.field, "message": one.expected} for one in job.problems)


def _text(error: Mapping[str, Any]) -> str:
    return f"{error['field']}: {error['message']}" if error["field"] else error["message"]


def refused(error: GaugepostError) -> Refused:
    """Return the refusal for an error of gaugepost."""
    match error:
        case IdempotencyConflict():
            return _conflict(error)
        case InvalidJob():
            return invalid([(0, error)])
        case InvalidQuery():
            return Refused(HTTPStatus.BAD_REQUEST, str(error))
        case JobNotFound():
            return Refused(HTTPStatus.NOT_FOUND, str(error))
        case DataSealed():
            return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        case _:
            return _of_the_store(error)


def _conflict(error: IdempotencyConflict) -> Refused:
    """Return the refusal of a job, or of an array with the place of the job in it, from 0."""
    if error.number is None:
        return Refused(HTTPStatus.CONFLICT, str(error), id=error.id)
    index, first = error.number - 1, None if error.first is None else error.first - 1
    earlier: dict[str, Any] = {"id": error.id} if first is None else {"first": first}
    where = f"job {error.id}" if first is None else f"job {first} of this array"
    why = f"job {index}: idempotency_key: was used for {where}, which has another kind or content"
    return Refused(HTTPStatus.CONFLICT, f"nothing was stored: {why}", index=index, **earlier)


def why(error: GaugepostError) -> str:
    """Return what a caller may read about an error of the store. Redis' own texts may quote keys or arguments."""
    return str(error) if is_foreseen(error) else _OF_THE_GATEWAY


def is_foreseen(error: GaugepostError) -> bool:
    """Return whether the text of an error is for callers. The log has the others."""
    return isinstance(error, _FORESEEN) or not isinstance(error, StoreError)


def _of_the_store(error: GaugepostError) -> Refused:
    detail = why(error)
    after = next((seconds for kind, seconds in _RETRY_AFTER.items() if isinstance(error, kind)), None)
    if after is None:
        return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed: its log has the reason")
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(after)})
