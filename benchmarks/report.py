"""Writes what a run amounts to: RESULTS.md, the rows it was made from, the plot, and the README's few lines."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import machine, plot, tables
from benchmarks.summary import US, Figure, Rows, figures, median, percentile
from benchmarks.targets import ROOT, everybody
from gaugepost_ops.embedded_redis import server_program

if TYPE_CHECKING:
    from benchmarks.measures import Row

FOLDER = ROOT / "benchmarks"
ROWS, PAGE, PLOT = "results.jsonl", "RESULTS.md", "drain.svg"
OURS = ("gaugepost", "celery", "kombu", "redis", "hiredis", "requests", "urllib3", "httptools", "pydantic")
PEERS = ("celery", "kombu", "redis", "hiredis", "requests", "urllib3", "aiohttp", "uvloop", "gevent", "dramatiq", "rq",
         "huey", "taskiq", "taskiq-redis")  # fmt: skip

INTRO = """# How fast

Made by `make bench`; not edited by hand. One machine, one run: producer, workers, Redis and the stub that takes the
PUTs share its processors. Contestants take turns; figures are medians of their rounds, with the smallest and the
largest one behind them. Ratios count; absolutes are context.

**Same client** compares queues: both sides send on gaugepost's adapter of requests, or both on the one that requests
brings. **As each comes** also compares HTTP clients: gaugepost's adapter with stock requests. taskiq and arq run on
asyncio and can use neither: they have aiohttp, which costs them least, in all comparisons.
"""
HOW = """## How it was measured

* The job: 500 bytes of JSON, enqueued by a process of its own, PUT with a Bearer token to a stub that answers at once
  (or after 200 ms), its status stored in Redis with a TTL; gaugepost keeps its whole record. The stub counts: each job
  must have come exactly once.
* Every turn has a Redis of its own, without append-only file (one row of gaugepost with it), and workers that have
  warmed up. Each contestant has two processes for its work, hiredis, and else what was fastest of its settings.
* A drain's rate is from the first enqueue to the last settled job, with enqueue and work at the same time: in bulk
  where there is a way to, else one by one. *Others* is the share of the machine that went to processes without a part.
* Commands a job are Redis' own count, those inside scripts included. *From clients* are those that somebody had to
  wait for, counted by MONITOR on a sample that is not timed: one script call is one, however much it does. What beat,
  heartbeats and new connections send is in it.
* The bare limit and the urllib3 loop are no queues: they retry nothing, know no lanes, leases, holds or verdicts.
  Raw LPUSH writes Celery's own messages from a template.
* Memory of a queued job is how much more Redis uses, divided by the jobs. Peaks are the kernel's (VmHWM), added up
  over processes.
* At 200 ms the rate is from the first arrival to the last answer. Latency: one job at a time, after a gap of random
  length. In Scale a tenth begins after the first 2 %, in which processes start.
"""


def about() -> Row:
    """Say where and of what a run was made."""
    program = server_program()
    redis = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout
    own = {name: version for name in OURS if (version := _version(name))}
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements/bench.txt").read_text(), re.MULTILINE))
    arq = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements/bench-arq.txt").read_text(), re.MULTILINE))
    theirs = {name: pinned[name] for name in PEERS} | {"arq": f"{arq['arq']} (with redis {arq['redis']})"}
    found = re.search(r"v=(\S+)", redis)
    return {"part": "about", "contestant": "", "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "machine": machine.about(), "redis": found[1] if found else "?", "ours": own, "theirs": theirs}  # fmt: skip


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def brief(row: Row) -> str:
    """Tell a row in a few words."""
    words = {"rate": "{:,.0f}/s", "bytes": "{:,.0f} bytes a job", "from_clients": "{:.2f} commands a job from clients",
             "worker_cpu_s": "{:.2f} s CPU a 1,000", "others": "{:.0%} others"}  # fmt: skip
    told = [form.format(row[key]) for key, form in words.items() if key in row]
    if row["part"] == "trace":
        told = [f"{row['traced']:,} traced"]
    if "latency_ms" in row:
        told = [f"p50 {percentile(row['latency_ms'], 0.5):.2f} ms, p99 {percentile(row['latency_ms'], 0.99):.2f} ms"]
    return f"{row['part']}, {row['jobs']:,} jobs: {', '.join(told)}"


def write(folder: Path, rows: Sequence[Row], *, readme: bool) -> None:
    """Write all of it; the README's part only after a whole run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ROWS).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / PAGE).write_text(page(rows), encoding="utf-8")
    (folder / PLOT).write_text(plot.bars(_bars(Rows(rows)), "jobs a second, bulk drain, same client"), encoding="utf-8")
    if readme:
        path = ROOT / "README.md"
        path.write_text(fill(path.read_text(encoding="utf-8"), speed(rows)), encoding="utf-8")


def fill(text: str, made: str) -> str:
    """Put the README's part in its place."""
    return re.sub(
        r"(<!-- made: speed -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}{made}\n{m[2]}", text, flags=re.DOTALL
    )


def page(rows: Sequence[Row]) -> str:
    found = Rows(rows)
    parts = [
        INTRO,
        _where(found),
        f"![Bulk drain: jobs a second]({PLOT})\n",
        "## Against what was asked for\n",
        ratios(rows),
    ]
    parts += [section for table in tables.TABLES if (section := tables.section(found, table))]
    parts += [*tables.traced(found), *tables.scaled(found), *_failures(found), HOW]
    return "\n".join(parts)


def ratios(rows: Sequence[Row]) -> str:
    """Return the table of ratios."""
    lines = ["| figure | gaugepost | the other | ratio | asked for | |", "| --- | --- | --- | --- | --- | --- |"]
    return "\n".join(lines + [_line(figure) for figure in figures(Rows(rows))]) + "\n"


_DRAIN = "bulk drain, {client}, against {other}"
_SAME, _EACH = "same client (gaugepost's adapter)", "as each comes"
_QUEUE, _CELERY = "the best other queue", "Celery at its best"


def speed(rows: Sequence[Row]) -> str:
    """Return the README's three lines, from the rows of a whole run."""
    found = {one.title: one for one in figures(Rows(rows))}

    def times(title: str) -> str:
        return f"**{found[title].result:.2g} ×**"

    def drain(client: str, other: str) -> str:
        return times(_DRAIN.format(client=client, other=other))

    rate = median(found[_DRAIN.format(client=_SAME, other=_QUEUE)].ours.values())
    cores = Rows(rows).of("about")[0]["machine"].partition(",")[0]
    idle = median(found["idle, from enqueue to arrival, p50, against taskiq"].ours.values())
    [scale] = [title for title in found if title.endswith("in the last tenth, against the first")]
    lines = [
        (
            f"Bulk drain, both sides on the same HTTP client: {drain(_SAME, _QUEUE)} {_QUEUE}, "
            f"{drain(_SAME, _CELERY)} {_CELERY}; {rate:,.0f} jobs a second on {cores}. "
            f"As each comes, which also compares HTTP clients: {drain(_EACH, _QUEUE)} and {drain(_EACH, _CELERY)}."
        ),
        (
            f"One enqueue is {times('enqueue one by one, against `apply_async`')} as fast as Celery's `apply_async`. "
            f"An idle system has a job at its receiver after {idle:.2g} ms (p50)."
        ),
        f"With {scale.partition(':')[0]}, the last tenth is drained at {times(scale)} the rate of the first.",
    ]
    return "\n".join(f"* {line}" for line in lines)


def _line(figure: Figure) -> str:
    low, high = figure.noise
    other = f"{_number(median(figure.theirs.values()))}{figure.unit}" if figure.theirs else "–"
    other += f" ({figure.against})" if figure.against else ""
    times = "" if figure.plain else " ×"
    result = f"{_number(figure.result)}{times} [{_number(low)}–{_number(high)}]"
    asked = "–" if figure.asked is None else f"{'≤' if figure.less else '≥'} {_number(figure.asked)}{times}"
    ours = f"{_number(median(figure.ours.values()))}{figure.unit}"
    return f"| {figure.title} | {ours} | {other} | {result} | {asked} | {_VERDICTS[figure.reached]} |"


_VERDICTS = {True: "yes", False: "**no**", None: ""}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three figures are enough


def _where(rows: Rows) -> str:
    [told] = rows.of("about")
    versions = ["; ".join([f"{name} {version}" for name, version in told[side].items()]) for side in ("ours", "theirs")]
    clients = {one.name: f"; {tables.CLIENTS[one.client]}" if one.worker else "" for one in everybody()}
    field = "\n".join(f"* **{one.name}**: {one.about}{clients[one.name]}" for one in everybody())
    return (
        f"{told['at']}, {told['machine']}, Redis {told['redis']}.\n\n* Ours: {versions[0]}\n* Theirs: {versions[1]}\n\n"
        f"{field}\n"
    )


def _failures(rows: Rows) -> Iterator[str]:
    for row in rows.of("failed"):
        yield f"* **{row['contestant']}** failed in round {row['run']}: {row['why']}\n"


def _bars(rows: Rows) -> list[plot.Bar]:
    def bar(name: str) -> plot.Bar:
        values: list[Any] = rows.values("drain", name, "rate")
        return plot.Bar(name, median(values), min(values), max(values), ours=name == US)

    return [bar(name) for name in rows.contestants("drain") if not tables.on_stock_requests(name)]
