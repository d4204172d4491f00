"""The ASGI application of the gateway."""

from __future__ import annotations

from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match, Route

from gaugepost.errors import GaugepostError
from gaugepost_ops.web import (
    audit_list,
    docs_page,
    file_sets,
    files,
    holds,
    job_changes,
    jobs,
    listing,
    operations,
    overview,
    probes,
    webhooks,
)
from gaugepost_ops.web.access_log import AccessLog
from gaugepost_ops.web.console.application import ConsoleApplication
from gaugepost_ops.web.direct import DirectEnqueue, problem_of
from gaugepost_ops.web.front.application import Front
from gaugepost_ops.web.gateway import Gateway
from gaugepost_ops.web.observed import ENQUEUE, ROUTE, GatewayMetrics, Observed
from gaugepost_ops.web.openapi import add_openapi
from gaugepost_ops.web.problems import Refused
from gaugepost_ops.web.single_jobs import SingleJobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from gaugepost.settings import Settings

    Endpoint = Callable[[Request], Awaitable[Response]]


class Application:
    """The application, and the gateway that it serves."""

    def __init__(self, settings: Settings) -> None:
        self.gateway = Gateway(settings)
        metrics = GatewayMetrics()
        self.access_log = AccessLog(settings)
        self.api = build_api(self.gateway, metrics)
        rest = Front(self.gateway, ConsoleApplication(self.gateway, self.api))
        self.asgi = Observed(
            DirectEnqueue(self.gateway).answer, rest, metrics, self.access_log, self.gateway.denials.note
        )

    def single_jobs(self, *, proxy_headers: bool) -> SingleJobs:
        """Return what answers single jobs before they reach `asgi`."""
        return SingleJobs(self.gateway, self.asgi, proxy_headers=proxy_headers)


def build_api(gateway: Gateway | None = None, metrics: GatewayMetrics | None = None) -> FastAPI:
    """Return the routes. Without a gateway, only their description works."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        assert gateway is not None  # noqa: S101 - only a described application has none
        async with gateway.running():
            yield

    api = FastAPI(lifespan=lifespan, openapi_url="/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False)
    api.state.gateway, api.state.metrics = gateway, metrics
    for path, method, endpoint in (
        (ENQUEUE, "POST", _not_here),
        ("/healthz", "GET", probes.healthz),
        ("/readyz", "GET", probes.readyz),
        ("/metrics", "GET", probes.metrics),
        ("/docs", "GET", docs_page.docs),
        ("/docs/style.css", "GET", docs_page.style),
    ):
        route = Route(path, endpoint, methods=[method])
        route.app = _named(route.app, path)
        api.router.routes.append(route)
    for module in (listing, jobs, job_changes, holds, overview, files, file_sets, operations, audit_list, webhooks):
        module.add_routes(api)
    add_openapi(api)
    _handle_errors(api)
    return api


async def _not_here(_: Request) -> Response:
    """Register `POST /v1/jobs`, which `DirectEnqueue` answers, so that other methods of the path get 405."""
    raise NotImplementedError


def _named(app: ASGIApp, path: str) -> ASGIApp:
    """Return an application that notes its route for the log and the metrics, as FastAPI does for its own routes."""

    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        scope[ROUTE] = path
        await app(scope, receive, send)

    return named


def _methods(api: FastAPI, request: Request) -> set[str]:
    """Return the methods of a path. Starlette's own answer has those of its first route."""
    found = (route for route in api.router.routes if isinstance(route, Route))
    return {
        method for route in found if route.matches(request.scope)[0] is not Match.NONE for method in route.methods or ()
    }


def _handle_errors(api: FastAPI) -> None:
    async def of_ours(_: Request, error: Exception) -> Response:
        return problem_of(error)

    async def of_absent(_: Request, __: Exception) -> Response:
        return Response(status_code=HTTPStatus.BAD_REQUEST)  # the caller went away: it reads no answer

    async def of_starlette(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
        status = HTTPStatus(error.status_code)
        headers = dict(error.headers or {})
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(sorted(_methods(api, request)))
        detail = {
            404: "there is no such path: /docs lists all",
            405: "this path has other methods: see /docs",
        }
        return Refused(status, detail.get(status, status.description), headers=headers).response()

    async def of_parameters(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        errors = [
            {"field": str(one["loc"][-1]), "message": one["msg"].replace("Input should be", "expected")}
            for one in error.errors()
        ]
        detail = "; ".join(f"{one['field']}: {one['message']}" for one in errors)
        return Refused(HTTPStatus.BAD_REQUEST, detail, errors=errors).response()

    api.add_exception_handler(Refused, of_ours)
    api.add_exception_handler(GaugepostError, of_ours)
    api.add_exception_handler(OSError, of_ours)  # such as a full disk; of Exception, Starlette raises it again
    api.add_exception_handler(ClientDisconnect, of_absent)
    api.add_exception_handler(HTTPException, of_starlette)
    api.add_exception_handler(RequestValidationError, of_parameters)
    api.add_exception_handler(Exception, of_ours)
