"""`/healthz`, `/readyz` and `/metrics`: they need no key."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response

from gaugepost_ops.web.readiness import READY

if TYPE_CHECKING:
    from starlette.requests import Request

    from gaugepost_ops.web.gateway import Gateway


async def healthz(_: Request) -> Response:
    """Answer that the process is alive."""
    return PlainTextResponse("well\n")


async def readyz(request: Request) -> Response:
    """Answer 200 if this process takes jobs: it does not stop, and the Redis of a region accepts writes."""
    gateway: Gateway = request.app.state.gateway
    if gateway.stopping.is_set:
        return _answer({}, HTTPStatus.SERVICE_UNAVAILABLE)
    regions = dict(await gateway.readiness.regions())
    is_ready = READY in regions.values()
    return _answer(regions, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


def _answer(regions: dict[str, str], status: HTTPStatus) -> Response:
    return Response(json.dumps({"regions": regions}), status, media_type="application/json")


async def metrics(request: Request) -> Response:
    """Answer with the metrics of this process, for Prometheus."""
    body = generate_latest(request.app.state.metrics.registry)
    return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})
