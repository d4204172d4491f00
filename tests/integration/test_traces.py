"""Follow a trace from the enqueuing span through the claim to the request, with real workers and an OTLP receiver."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from gaugepost import CloseLoop, InvalidJob, Record, Region
from gaugepost.jobs import parse_job
from gaugepost.ledger import Claimed, Settlement
from gaugepost.ledger.history import History
from gaugepost.transitions import Attempt, Dead, Decision, Delivered, Parked, Requeued
from gaugepost.verdict import Verdict
from gaugepost_workers.observers.traces import Traces, open_traces, wanted
from support.stack import Stack
from support.wait import wait_until

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DATA_KEY = "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="


def record(email: str = "joe@example.com", **more: Any) -> Record:
    return Record(region=Region.EU, record={"Email": email}, **({"configuration": "multi-object"} | more))


class Receiver:
    """Receives spans over HTTP, as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        spans = self.spans = []  # type: list[Any]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = ExportTraceServiceRequest.FromString(body)
                spans.extend(
                    span for group in request.resource_spans for scope in group.scope_spans for span in scope.spans
                )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep still."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Iterator[trace.Tracer]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("tests")
    provider.shutdown()


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@pytest.mark.parametrize("key", [None, DATA_KEY])
def test_attempt_belongs_to_the_trace_of_the_enqueuing_service(
    tmp_path: Path, receiver: Receiver, tracer: trace.Tracer, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with Stack(tmp_path, **({"data_key": key} if key else {})) as stack:
        with tracer.start_as_current_span("the service's own") as ours:
            job = stack.producer.enqueue(record())
            bad = stack.producer.enqueue(record(configuration="unknown-mapping"))
        without = stack.producer.enqueue(record(email="lee@example.com"))
        worker = stack.worker()
        job.result(timeout=60)
        without.result(timeout=60)
        wait_until(lambda: len(receiver.named("gaugepost record")) >= 3)
        worker.terminate()
        assert worker.wait(timeout=60) == 0
        assert "joe@" not in stack.logs()
    spans = {attributes(span)["gaugepost.job"]: span for span in receiver.named("gaugepost record")}
    context = ours.get_span_context()
    for one in (job, bad):
        assert spans[one.id].trace_id == context.trace_id.to_bytes(16)
        assert spans[one.id].parent_span_id == context.span_id.to_bytes(8)
    assert spans[without.id].trace_id != context.trace_id.to_bytes(16)
    assert spans[without.id].parent_span_id == b""
    claims = {span.span_id: attributes(span)["gaugepost.jobs"] for span in receiver.named("gaugepost parcel")}
    assert sum(claims.values()) == 3
    assert all(span.links[0].span_id in claims for span in spans.values())
    attributes_of_bad = attributes(spans[bad.id])
    assert (attributes_of_bad["gaugepost.verdict"], attributes_of_bad["gaugepost.then"]) == (
        "unknown_mapping",
        "parked",
    )
    assert attributes(spans[job.id])["http.response.status_code"] == 200
    assert b"example.com" not in b"".join(span.SerializeToString() for span in receiver.spans)


def test_customergauge_gets_no_trace(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    with Stack(tmp_path) as stack:
        stack.worker()
        job = stack.producer.enqueue(record(traceparent=PARENT))
        job.result(timeout=60)
        assert "traceparent" not in str(stack.sim.state()) + str(stack.sim.effects())


def test_worker_runs_without_an_exporter_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nobody_has_this")
    with Stack(tmp_path) as stack:
        stack.worker()
        stack.producer.enqueue(record()).result(timeout=60)
        assert "pip install 'gaugepost[otel]'" in stack.logs()


def test_no_tracing_is_imported_unless_it_is_asked_for(tmp_path: Path) -> None:
    look = (
        "import sys; from gaugepost import Producer, Record; from gaugepost_workers.worker import Worker\n"
        "from gaugepost import Region, Settings\n"
        "worker = Worker(Settings.load(), Region.EU, 4)\n"
        "with Producer() as p: p.enqueue(Record(region='eu', configuration='m', record={'Email': 'a@example.com'}))\n"
        "print([m for m in ('opentelemetry.sdk.trace', 'google.protobuf') if m in sys.modules])"
    )
    with Stack(tmp_path) as stack:
        done = stack.run("-c", look)
        assert done.wait(timeout=60) == 0
        assert stack.logs().splitlines()[-1] == "[]"


# What is kept with a job


def test_the_current_span_is_noted_unless_the_job_brings_one_along(stack_producer: Any, tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("here") as span:
        mine = stack_producer.enqueue(record(traceparent=PARENT))
        noted = stack_producer.enqueue(record())
        many = list(stack_producer.enqueue_many(record(f"p{i}@example.com") for i in range(3)))
    outside = stack_producer.enqueue(record())
    found = {one.id: stack_producer.job(one.id).job.get("traceparent") for one in (mine, noted, *many, outside)}
    context = span.get_span_context()
    here = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    assert list(found.values()) == [PARENT, here, here, here, here, None]


@pytest.fixture
def stack_producer(tmp_path: Path) -> Iterator[Any]:
    with Stack(tmp_path) as stack:
        yield stack.producer


@pytest.mark.parametrize(
    "text",
    [
        "", "x", PARENT.upper(), PARENT[:-1], PARENT + "0", "01" + PARENT[2:], "00-" + "0" * 32 + PARENT[35:],
        PARENT[:36] + "0" * 16 + "-01", PARENT + "\n", "00-joe@example.com",
    ],
)  # fmt: skip
def test_a_traceparent_of_another_form_is_refused_and_not_repeated(text: str) -> None:
    row = {"kind": "record", "region": "eu", "configuration": "m", "record": {"Email": "a@example.com"}}
    with pytest.raises(InvalidJob, match="traceparent: expected a W3C traceparent") as refused:
        parse_job(row | {"traceparent": text})
    assert "joe@" not in str(refused.value)


# Spans, one by one


def claimed(name: str, job: Any = None) -> Claimed:
    return Claimed(name, 1, 0, job or record(traceparent=PARENT), History())


def attempt(n: int, verdict: Verdict, status: int | None = 200) -> Attempt:
    return Attempt(n, 1_790_000_000_000, 250, status, verdict, "said joe@example.com")


def test_each_attempt_is_a_span_with_the_times_of_the_record(
    exporter: InMemorySpanExporter, tracer: trace.Tracer
) -> None:
    traces = Traces(tracer, Region.EU)
    job = claimed("j1")
    traces.claimed([job])
    attempts = (attempt(1, Verdict.UNAUTHENTICATED, 401), attempt(2, Verdict.DELIVERED))
    traces.settled([Settlement(job, Decision(Delivered()), attempts)])
    first, second, claim = exporter.get_finished_spans()
    assert (first.start_time, first.end_time) == (1_790_000_000_000_000_000, 1_790_000_000_250_000_000)
    assert (first.status.status_code, first.status.description) == (StatusCode.ERROR, "unauthenticated")
    assert second.status.status_code is StatusCode.UNSET
    assert second.attributes == {
        "gaugepost.job": "j1", "gaugepost.kind": "record", "gaugepost.region": "eu", "gaugepost.n": 2,
        "gaugepost.verdict": "delivered", "gaugepost.then": "delivered", "gaugepost.configuration": "multi-object",
        "http.response.status_code": 200,
    }  # fmt: skip
    assert [link.context for link in second.links] == [claim.context]
    assert second.parent is not None
    assert f"00-{second.parent.trace_id:032x}-{second.parent.span_id:016x}-01" == PARENT


@pytest.mark.parametrize(
    ("transition", "then"),
    [
        (Delivered(), "delivered"), (Parked(1, "no_campaign"), "parked"), (Dead(Verdict.DUPLICATE), "dead"),
        (Requeued(), "queued"),
    ],
)  # fmt: skip
def test_span_shows_the_decision(
    exporter: InMemorySpanExporter, tracer: trace.Tracer, transition: Any, then: str
) -> None:
    job = claimed("j1", CloseLoop(region=Region.EU, number_customergauge="5", status="progress", source="crm"))
    traces = Traces(tracer, Region.EU)
    traces.settled([Settlement(job, Decision(transition), (attempt(1, Verdict.UNREACHABLE, None),))])
    (span,) = exporter.get_finished_spans()
    assert span.attributes is not None
    assert (span.attributes["gaugepost.then"], span.attributes["gaugepost.source"]) == (then, "crm")
    assert "http.response.status_code" not in span.attributes
    assert span.parent is None


def test_claim_span_ends_with_its_last_job_or_after_a_time_limit(
    exporter: InMemorySpanExporter, tracer: trace.Tracer
) -> None:
    traces = Traces(tracer, Region.EU, max_open_s=0)
    jobs = [claimed("a"), claimed("b")]
    traces.claimed([])
    traces.claimed(jobs)
    traces.settled([Settlement(jobs[0], Decision(Requeued()))])
    assert exporter.get_finished_spans() == ()
    traces.claimed([claimed("c")])  # another worker rescued b
    (claim,) = exporter.get_finished_spans()
    assert claim.attributes == {"gaugepost.region": "eu", "gaugepost.jobs": 2}
    traces.settled([Settlement(jobs[1], Decision(Requeued()))])
    traces.settled([Settlement(claimed("c"), Decision(Requeued()))])
    assert len(exporter.get_finished_spans()) == 2
    assert (traces._open, traces._claim_of_job) == ({}, {})


@pytest.mark.parametrize(
    ("environment", "exporters"),
    [
        ({}, []),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, ["otlp_proto_http"]),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            ["otlp_proto_grpc"],
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "True"}, []),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ["console", "otlp_proto_http"]),
    ],
)
def test_opentelemetrys_own_environment_says_where_spans_go(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], exporters: list[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wanted() == exporters


def test_a_provider_that_was_set_already_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nobody_has_this")
    monkeypatch.setattr(trace, "get_tracer_provider", TracerProvider)
    assert open_traces(Region.EU) is not None
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert open_traces(Region.EU) is None
