"""The benchmarks work and count right; whatever their figures are. Nothing here needs the peers' environment."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from benchmarks import job
from benchmarks.measures import check
from benchmarks.rig import Failed, Stub

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(240)

Row = dict[str, Any]


def bench(*arguments: str, out: Path) -> list[Row]:
    command = [sys.executable, "-m", "benchmarks", *arguments, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def of(rows: list[Row], part: str, contestant: str = "gaugepost") -> list[Row]:
    return [row for row in rows if (row["part"], row["contestant"]) == (part, contestant)]


def test_gaugepost_and_a_bare_loop_take_turns_and_every_job_is_counted(tmp_path: Path) -> None:
    parts = ("drain", "singles", "trips", "latency", "slow", "enqueue")
    few = ("--quick", "--runs", "2", "--jobs", "40")
    rows = bench(*parts, *few, "--only", "gaugepost,urllib3 loop", out=tmp_path)
    turns = [row["contestant"] for row in rows if row["part"] == "drain"]
    assert turns == ["gaugepost", "urllib3 loop"] * 2
    for part in ("drain", "singles"):
        for name in ("gaugepost", "urllib3 loop"):
            assert [row["jobs"] for row in of(rows, part, name)] == [40, 40]
    [trips] = of(rows, "trips", "urllib3 loop")
    assert 3 <= trips["from_clients"] < 4, "RPUSH, BLPOP and SET, and what a new connection sends"
    assert [len(row["latency_ms"]) for row in of(rows, "latency")] == [10, 10]
    assert all(row["bytes"] > job.BODY_BYTES for row in of(rows, "enqueue bulk"))
    assert all(row["most_open"] <= 256 + 1 for row in of(rows, "slow"))


def test_a_report_is_written_with_its_ratios_and_a_plot(tmp_path: Path) -> None:
    rows = bench("drain", "--quick", "--jobs", "40", "--only", "gaugepost,urllib3 loop", out=tmp_path)
    page = (tmp_path / "RESULTS.md").read_text()
    [ours], [theirs] = of(rows, "drain"), of(rows, "drain", "urllib3 loop")
    assert f"{ours['rate'] / theirs['rate']:.3g} × [" in page
    drawn = ElementTree.fromstring((tmp_path / "drain.svg").read_text())
    names = {element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert names >= {"gaugepost", "urllib3 loop"}


def test_the_scale_table_goes_through_a_long_queue_and_many_due_jobs(tmp_path: Path) -> None:
    rows = bench("scale", "--quick", "--sizes", "200,400", out=tmp_path)
    assert [row["jobs"] for row in of(rows, "scale")] == [200, 400]
    assert [row["jobs"] for row in of(rows, "due")] == [1000]
    assert "| queued jobs | 200 | 400 |" in (tmp_path / "RESULTS.md").read_text()


def row(contestant: str, run: int, rate: float) -> Row:
    return {"part": "drain", "contestant": contestant, "run": run, "jobs": 100, "rate": rate}


def test_a_ratio_is_of_the_medians_and_its_noise_of_the_turns_that_belong_together(tmp_path: Path) -> None:
    about = {"part": "about", "contestant": "", "at": "", "machine": "", "redis": "", "ours": {}, "theirs": {}}
    ours = [row("gaugepost", run, rate) for run, rate in enumerate((300, 400, 1000), 1)]
    rq = [row("rq", run, rate) for run, rate in enumerate((10, 20, 30), 1)]
    huey = [row("huey", run, rate) for run, rate in enumerate((100, 200, 250), 1)]
    (tmp_path / "results.jsonl").write_text("\n".join(map(json.dumps, (about, *ours, *rq, *huey))))
    bench("report", out=tmp_path)
    [line] = [one for one in (tmp_path / "RESULTS.md").read_text().splitlines() if "best other queue" in one]
    assert line == "| bulk drain, against the best other queue | 400/s | 200/s (huey) | 2 × [2–4] | ≥ 2 × | yes |"


def test_only_a_whole_run_touches_the_readme(tmp_path: Path) -> None:
    before = (ROOT / "README.md").read_text()
    bench("enqueue", "--quick", "--only", "gaugepost", out=tmp_path)
    assert (ROOT / "README.md").read_text() == before


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    with Stub(tmp_path) as stub:
        yield stub


def put(stub: Stub, body: bytes, headers: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", stub.port, timeout=10)
    connection.request("PUT", job.RECORDS, body=body, headers=headers)
    assert connection.getresponse().status == 200
    connection.close()


def test_a_put_without_its_token_or_cut_short_or_sent_twice_fails_the_turn(stub: Stub) -> None:
    whole = job.body(job.payload(7))
    put(stub, whole, job.HEADERS)
    check(stub.stats(), 1)
    for body, headers in ((whole, {}), (whole[:-1], job.HEADERS), (whole, job.HEADERS)):
        stub.reset()
        put(stub, job.body(job.payload(7)), job.HEADERS)
        put(stub, body, headers)
        with pytest.raises(Failed):
            check(stub.stats(), 2)
