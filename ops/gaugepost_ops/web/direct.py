"""`POST /v1/jobs` without FastAPI: its layers cost a quarter of the time of an enqueue (benchmarks/gateway.py)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect

from gaugepost.errors import GaugepostError
from gaugepost_ops.web.enqueue import enqueue
from gaugepost_ops.web.observed import ROUTE
from gaugepost_ops.web.problems import Refused, refused

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gaugepost_ops.web.gateway import Gateway

log = structlog.get_logger("gaugepost.gateway")

ENQUEUE = "/v1/jobs"


class DirectEnqueue:
    """An ASGI application that answers `POST /v1/jobs` itself, and passes all other requests on."""

    def __init__(self, gateway: Gateway, rest: ASGIApp) -> None:
        self._gateway = gateway
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] != ENQUEUE or scope["method"] != "POST":
            await self._rest(scope, receive, send)
            return
        scope[ROUTE] = ENQUEUE
        has_begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            response = await enqueue(self._gateway, scope, receive)
            await response(scope, receive, send_and_note)
        except ClientDisconnect:
            return
        except Exception as error:
            if has_begun:
                raise
            await problem_of(error)(scope, receive, send)


def problem_of(error: Exception) -> Response:
    """Return the answer to an error. An unexpected error is logged, without data."""
    if isinstance(error, Refused):
        return error.response()
    if isinstance(error, GaugepostError):
        return refused(error).response()
    log.error("failed", exc_info=error)
    return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed: its log has the reason").response()
