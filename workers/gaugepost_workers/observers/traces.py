"""OpenTelemetry traces of a worker (extra `otel`): a span for each claim and for each attempt.

The span of an attempt is a child of the span in which a service enqueued the job. It links to the span of its claim,
because one claim holds jobs of many traces. The spans of attempts are written when jobs are settled, with the recorded
times, so sender threads do no work for traces. Requests to CustomerGauge carry no `traceparent`: our traces stay ours.

OpenTelemetry's own environment variables set exporter, sampler and service name (`OTEL_EXPORTER_OTLP_ENDPOINT`,
`OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME` …). Without them nothing of OpenTelemetry is imported.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import structlog

from gaugepost.trace_context import ids
from gaugepost.transitions import Dead, Delivered, Held, Parked, Unknown
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.trace import Span, SpanContext, Tracer

    from gaugepost.ledger import Claimed, Settlement
    from gaugepost.regions import Region
    from gaugepost.transitions import Attempt, Transition

log = structlog.get_logger("gaugepost.traces")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_NS_MS = 1_000_000


def wanted() -> list[str]:
    """Return the names of the exporters that the environment asks for, which may be none."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return []
    named = os.environ.get("OTEL_TRACES_EXPORTER") or ("otlp" if any(map(os.environ.get, _ENDPOINTS)) else "none")
    return [_exporter_name(name.strip()) for name in named.split(",") if name.strip() != "none"]


def _exporter_name(name: str) -> str:
    """Return the name under which an exporter is registered. OTLP has a name for each protocol."""
    if name != "otlp":
        return name
    protocol = next(filter(None, map(os.environ.get, _PROTOCOLS)), "http/protobuf")
    return "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"


def open_traces(region: Region) -> Traces | None:
    """Set up tracing if the environment asks for it. Return None if it does not, or if a package is missing.

    A missing package is only logged: OTEL_… may be set for a whole cluster, and jobs need no traces.
    """
    exporters = wanted()
    if not exporters:
        return None
    try:
        from opentelemetry import trace  # noqa: PLC0415 - an extra

        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):  # otherwise an agent has set a provider
            _set_provider(exporters)
    except (ModuleNotFoundError, LookupError) as error:
        log.warning("no traces, packages are missing: pip install 'gaugepost[otel]'", error=str(error))
        return None
    return Traces(trace.get_tracer("gaugepost"), region)


def _set_provider(exporters: Sequence[str]) -> None:
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    os.environ.setdefault("OTEL_SERVICE_NAME", "gaugepost-worker")
    provider = TracerProvider()
    for name in exporters:
        provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
    trace.set_tracer_provider(provider)


def _exporter(name: str) -> Any:  # noqa: ANN401 - any registered class
    found = next(iter(entry_points(group="opentelemetry_traces_exporter", name=name)), None)
    if found is None:
        raise LookupError(f"no exporter is installed as {name}")
    return found.load()()


@dataclass(slots=True)
class _ClaimSpan:
    """The span of one claim, and the ids of its jobs that are not settled yet."""

    span: Span
    started_at: float
    unsettled: set[str] = field(default_factory=set)


class Traces:
    """An observer that writes spans. For one thread at a time.

    The span of a claim ends after `max_open_s` seconds even if some of its jobs are not settled.
    """

    def __init__(self, tracer: Tracer, region: Region, max_open_s: float = 600.0) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - an extra

        self._api = trace
        self._tracer = tracer
        self._region = str(region)
        self._max_open_s = max_open_s
        self._claim_of_job: dict[str, _ClaimSpan] = {}
        """Job id → the claim that took it."""
        self._open: dict[int, _ClaimSpan] = {}

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        """Start the span of a claim."""
        if not jobs:
            return
        self._end_abandoned()
        attributes: dict[str, str | int] = {"gaugepost.region": self._region, "gaugepost.jobs": len(jobs)}
        # The name of the span is public, so it keeps the old word for a claim.
        span = self._tracer.start_span("gaugepost parcel", kind=self._api.SpanKind.CONSUMER, attributes=attributes)
        claim = _ClaimSpan(span, time.monotonic(), {claimed.id for claimed in jobs})
        self._open[id(claim)] = claim
        self._claim_of_job |= dict.fromkeys(claim.unsettled, claim)

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """Write a span for each attempt, and end the spans of claims whose jobs are all settled."""
        for settlement in settlements:
            claimed = settlement.claimed
            claim = self._claim_of_job.pop(claimed.id, None)
            for attempt in settlement.attempts:
                self._attempt(claimed, attempt, settlement.decision.transition, claim)
            if claim is not None:
                claim.unsettled.discard(claimed.id)
                if not claim.unsettled:
                    self._end(claim)

    def _end_abandoned(self) -> None:
        """End the spans of old claims. This worker lost some of their jobs, so their settlements never come."""
        while self._open:
            oldest = next(iter(self._open.values()))
            if time.monotonic() - oldest.started_at < self._max_open_s:
                return
            for job_id in oldest.unsettled:
                self._claim_of_job.pop(job_id, None)
            self._end(oldest)

    def _end(self, claim: _ClaimSpan) -> None:
        if self._open.pop(id(claim), None) is not None:
            claim.span.end()

    def _attempt(self, claimed: Claimed, attempt: Attempt, transition: Transition, claim: _ClaimSpan | None) -> None:
        began = attempt.at * _NS_MS
        span = self._tracer.start_span(
            f"gaugepost {claimed.job.kind}",
            context=self._parent(claimed),
            kind=self._api.SpanKind.CLIENT,
            links=[self._api.Link(claim.span.get_span_context())] if claim else None,
            start_time=began,
        )
        if span.is_recording():
            span.set_attributes(self._attributes(claimed, attempt, transition))
            if attempt.verdict is not Verdict.DELIVERED:
                span.set_status(self._api.StatusCode.ERROR, str(attempt.verdict))
        span.end(began + attempt.ms * _NS_MS)

    def _parent(self, claimed: Claimed) -> Any:  # noqa: ANN401 - a Context
        """Return the context of the service that enqueued the job; without one the attempt starts a new trace."""
        parent = claimed.job.traceparent
        if parent is None:
            return self._api.set_span_in_context(self._api.INVALID_SPAN)
        trace_id, span_id, flags = ids(parent)
        context: SpanContext = self._api.SpanContext(
            trace_id, span_id, is_remote=True, trace_flags=self._api.TraceFlags(flags)
        )
        return self._api.set_span_in_context(self._api.NonRecordingSpan(context))

    def _attributes(self, claimed: Claimed, attempt: Attempt, transition: Transition) -> dict[str, str | int]:
        """Return the attributes of an attempt's span. None is personal data."""
        attributes: dict[str, str | int] = {
            "gaugepost.job": claimed.id,
            "gaugepost.kind": claimed.job.kind,
            "gaugepost.region": self._region,
            "gaugepost.n": attempt.n,
            "gaugepost.verdict": str(attempt.verdict),
            "gaugepost.then": _state_after(transition),
        }
        if claimed.job.mapping is not None:
            attributes["gaugepost.configuration"] = claimed.job.mapping
        if claimed.job.source is not None:
            attributes["gaugepost.source"] = claimed.job.source
        if attempt.status is not None:
            attributes["http.response.status_code"] = attempt.status
        return attributes


def _state_after(transition: Transition) -> str:
    """Return the job's state after this transition."""
    match transition:
        case Delivered():
            return "delivered"
        case Parked() | Held():
            return "parked"
        case Dead():
            return "dead"
        case Unknown():
            return "unknown"
        case _:
            return "queued"
