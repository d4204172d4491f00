"""`POST /v1/jobs` without FastAPI: its layers cost a quarter of the time of an enqueue (benchmarks/gateway.py)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect

from gaugepost.errors import GaugepostError
from gaugepost_ops.web.enqueue import enqueue
from gaugepost_ops.web.job_lines import JobLines
from gaugepost_ops.web.observed import ENQUEUE, ROUTE
from gaugepost_ops.web.problems import Refused, is_foreseen, of_disk, refused

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from gaugepost_ops.web.gateway import Gateway

log = structlog.get_logger("gaugepost.gateway")


class DirectEnqueue:
    """Answers `POST /v1/jobs`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer a request. Return the status; 0 if the caller went away before."""
        scope[ROUTE] = ENQUEUE
        response: Response | None = None
        try:
            response = await enqueue(self._gateway, scope, receive)
            await response(scope, receive, send)
        except ClientDisconnect:
            return 0
        except Exception as error:
            if isinstance(response, JobLines) and response.has_begun:
                raise
            response = problem_of(error)
            await response(scope, receive, send)
        return response.status_code


def problem_of(error: Exception) -> Response:
    """Return the answer to an error. An unexpected error is logged, without data."""
    error = of_disk(error)
    if isinstance(error, Refused):
        return error.response()
    if isinstance(error, GaugepostError):
        refusal = refused(error)
        if refusal.status is HTTPStatus.INTERNAL_SERVER_ERROR or not is_foreseen(error):
            log.error("failed", error=f"{type(error).__name__}: {error}")
        return refusal.response()
    log.error("failed", exc_info=error)
    return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed: its log has the reason").response()
