"""Check that the benchmarks work and count correctly. No test here needs the environment of other queues."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from benchmarks import events, job
from benchmarks.__main__ import Plan, Session
from benchmarks.harness import Failed, Stub, Turn
from benchmarks.measures import check
from benchmarks.targets import gaugepost

ROOT = Path(__file__).parents[2]

Row = dict[str, Any]


def bench(*arguments: str, out: Path) -> list[Row]:
    command = [sys.executable, "-m", "benchmarks", *arguments, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def of(rows: list[Row], part: str, target: str = "gaugepost") -> list[Row]:
    return [row for row in rows if (row["part"], row["contestant"]) == (part, target)]


def test_targets_alternate_and_the_report_has_ratios_and_a_plot(tmp_path: Path) -> None:
    few = ("--quick", "--runs", "2", "--jobs", "40")
    rows = bench("drain", "singles", *few, "--only", "gaugepost,urllib3 loop", out=tmp_path)
    turns = [(row["contestant"], row["jobs"]) for row in rows if row["part"] == "drain"]
    assert turns == [("gaugepost", 40), ("urllib3 loop", 40)] * 2
    assert [row["jobs"] for row in of(rows, "singles")] == [40, 40]
    ours, theirs = (
        statistics.median(row["rate"] for row in of(rows, "drain", name)) for name in ("gaugepost", "urllib3 loop")
    )
    assert f"{ours / theirs:.3g} × [" in (tmp_path / "RESULTS.md").read_text()
    drawn = ET.fromstring((tmp_path / "drain.svg").read_text())
    names = {element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert names >= {"gaugepost", "urllib3 loop"}


def speed_in_readme() -> str:
    return (ROOT / "README.md").read_text().partition("<!-- made: speed -->")[2].partition("<!-- end -->")[0]


def test_single_benchmark_measures_its_target_and_keeps_the_readme(tmp_path: Path) -> None:
    before = speed_in_readme()
    parts = ("trips", "latency", "trace", "slow", "enqueue")
    rows = bench(*parts, "--quick", "--jobs", "40", "--only", "gaugepost", out=tmp_path)
    assert {row["part"] for row in rows} == {"about", *parts[:-1], "enqueue single", "enqueue bulk"}
    [trips], [latency], [traced] = of(rows, "trips"), of(rows, "latency"), of(rows, "trace")
    assert trips["which"]["evalsha"] > 0
    assert len(latency["latency_ms"]) == 10
    assert traced["traced"] > 0
    reached = [p50 for p50, _ in traced["steps"].values()]
    assert len(reached) > 5
    # The steps before may change places: a poll claims a job before its bell is read.
    assert reached[-1] == max(reached)
    assert of(rows, "enqueue bulk")[0]["bytes"] > job.BODY_BYTES
    assert of(rows, "slow")[0]["most_open"] > 1
    assert speed_in_readme() == before != ""


def test_the_scale_table_goes_through_a_long_queue_and_many_due_jobs(tmp_path: Path) -> None:
    rows = bench("scale", "--quick", "--sizes", "300", out=tmp_path)
    assert [row["jobs"] for row in of(rows, "scale")] == [300]
    assert [row["jobs"] for row in of(rows, "due")] == [1000]
    assert "| queued jobs | 300 |" in (tmp_path / "RESULTS.md").read_text()


def row(target: str, run: int, rate: float) -> Row:
    return {"part": "drain", "contestant": target, "run": run, "jobs": 100, "rate": rate}


def test_ratio_is_of_medians_and_its_noise_of_paired_runs(tmp_path: Path) -> None:
    about = {"part": "about", "contestant": "", "at": "", "machine": "", "redis": "", "ours": {}, "theirs": {}}
    ours = [row("gaugepost", run, rate) for run, rate in enumerate((300, 400, 1000), 1)]
    rq = [row("rq", run, rate) for run, rate in enumerate((10, 20, 30), 1)]
    huey = [row("huey", run, rate) for run, rate in enumerate((100, 200, 250), 1)]
    (tmp_path / "results.jsonl").write_text("\n".join(map(json.dumps, (about, *ours, *rq, *huey))))
    bench("report", out=tmp_path)
    [line] = [one for one in (tmp_path / "RESULTS.md").read_text().splitlines() if "best other queue" in one]
    title = "bulk drain, same client (gaugepost's adapter), against the best other queue"
    assert line == f"| {title} | 400/s | 200/s (huey) | 2 × [2–4] | ≥ 2.5 × | **no** |"


def test_queues_are_compared_on_the_same_client_and_as_each_comes(tmp_path: Path) -> None:
    rates = {"gaugepost": 900, "gaugepost (requests)": 500, "taskiq": 250, "huey": 300, "huey (requests)": 200}
    rates |= {"celery prefork": 100, "celery prefork (requests)": 90, "celery threads (requests)": 80}
    about = {"part": "about", "contestant": "", "at": "", "machine": "", "redis": "", "ours": {}, "theirs": {}}
    rows = [about, *(row(name, 1, rate) for name, rate in rates.items())]
    (tmp_path / "results.jsonl").write_text("\n".join(map(json.dumps, rows)))
    bench("report", out=tmp_path)
    lines = [one.split(" | ") for one in (tmp_path / "RESULTS.md").read_text().splitlines() if "bulk drain, " in one]
    assert [(line[1], line[2]) for line in lines] == [
        ("900/s", "300/s (huey)"),
        ("900/s", "100/s (celery prefork)"),
        ("500/s", "250/s (taskiq)"),
        ("500/s", "90/s (celery prefork (requests))"),
        ("900/s", "250/s (taskiq)"),
        ("900/s", "90/s (celery prefork (requests))"),
    ]


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    with Stub(tmp_path) as stub:
        yield stub


def put(stub: Stub, body: bytes, headers: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", stub.port, timeout=10)
    connection.request("PUT", job.RECORDS, body=body, headers=headers)
    assert connection.getresponse().status == 200
    connection.close()


def test_unauthorised_cut_or_doubled_put_fails_the_run(stub: Stub) -> None:
    seven, eight = (job.body(job.payload(number)) for number in (7, 8))
    cases = [(eight, job.HEADERS, True), (eight, {}, False), (eight[:-1], job.HEADERS, False)]
    for body, headers, good in [*cases, (seven, job.HEADERS, False)]:
        stub.reset()
        put(stub, seven, job.HEADERS)
        put(stub, body, headers)
        with contextlib.nullcontext() if good else pytest.raises(Failed):
            check(stub.stats(), 2)


@pytest.mark.parametrize(("client", "adapter"), [("direct", "DirectAdapter"), ("requests", "HTTPAdapter")])
def test_a_peers_task_sends_on_the_adapter_that_is_compared(stub: Stub, client: str, adapter: str) -> None:
    code = (
        "from benchmarks import job; from benchmarks.queues import sending;"
        "sending.put(7, job.payload(7)); print(type(sending.session().get_adapter(job.STUB_URL)).__name__)"
    )
    environment = {"BENCH_CLIENT": client, "BENCH_STUB_URL": stub.url}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == [adapter]
    check(stub.stats(), 1)


def test_failed_target_leaves_the_others_their_runs(stub: Stub, tmp_path: Path) -> None:
    def broken(_: Turn) -> Iterator[Row]:
        raise KeyError("rate")

    session = Session(Plan(("drain",), frozenset()), stub, tmp_path)
    session.turn(gaugepost(), 1, broken)
    session.turn(gaugepost(), 1, lambda _: iter([{"part": "drain", "jobs": 1}]))
    assert [row["part"] for row in session.rows] == ["failed", "drain"]
    assert session.rows[0]["why"].startswith("KeyError('rate')")
    assert session.failures == 1


def test_cost_of_events_is_measured_with_and_without_them() -> None:
    command = [sys.executable, "-m", "benchmarks.events", "1", "200", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.count(" → ") for line in done.stdout.splitlines()] == [0, 1, 1, 1, 1]
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        "round 1, events off",
        "round 1, events on",
    ]


def test_run_too_short_for_the_cpu_clock_has_no_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    on, off = dict.fromkeys(events.FIGURES, 2.0), dict.fromkeys(events.FIGURES, 2.0) | {"alone_cpu": 0.0}
    events.print_report({True: [on], False: [off]})
    rounds = [line.partition("(rounds: ")[2] for line in capsys.readouterr().out.splitlines()]
    assert rounds == ["", "1)", "1)", "1)", "nan)"]


@pytest.mark.timeout(600)
def test_console_is_measured_page_by_page_and_with_open_consoles() -> None:
    command = [sys.executable, "-m", "benchmarks.console", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=560, check=False)
    assert done.returncode == 0, done.stderr
    pages = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("/")]
    assert {"/", "/stuck", "/jobs", "/holds", "/uploads", "/history", "/batches", "/operations", "/audit"} < set(pages)
    assert len(pages) == len(set(pages)) > 50
    consoles = [line for line in done.stdout.splitlines() if line.startswith("50 consoles show ")]
    assert len(consoles) == 6
    assert all("gateway " in line and "Redis " in line for line in consoles)
