"""Writes what a run amounts to: RESULTS.md, the rows it was made from, the plot, and the README's few lines."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import machine, plot
from benchmarks.contestants import ROOT, everybody
from benchmarks.figures import US, Figure, Rows, figures, median, percentile
from gaugepost.embedded import server_program

if TYPE_CHECKING:
    from benchmarks.measures import Row

FOLDER = ROOT / "benchmarks"
ROWS, PAGE, PLOT = "results.jsonl", "RESULTS.md", "drain.svg"
OURS = ("gaugepost", "celery", "kombu", "redis", "hiredis", "httptools", "pydantic")
PEERS = ("celery", "kombu", "redis", "hiredis", "requests", "urllib3", "aiohttp", "uvloop", "gevent", "dramatiq", "rq",
         "huey", "taskiq", "taskiq-redis")  # fmt: skip

INTRO = """# How fast

Made by `make bench`; not edited by hand. One machine, one run: producer, workers, Redis and the stub that takes the
PUTs share its processors. Contestants take turns; figures are medians of their rounds, with the smallest and the
largest one behind them. Ratios count; absolutes are context.
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
    if "latency_ms" in row:
        told = [f"p50 {percentile(row['latency_ms'], 0.5):.2f} ms, p99 {percentile(row['latency_ms'], 0.99):.2f} ms"]
    return f"{row['part']}, {row['jobs']:,} jobs: {', '.join(told)}"


def write(folder: Path, rows: Sequence[Row], *, readme: bool) -> None:
    """Write all of it; the README's part only after a whole run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ROWS).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / PAGE).write_text(page(rows), encoding="utf-8")
    (folder / PLOT).write_text(plot.bars(_bars(Rows(rows)), "jobs a second, bulk drain"), encoding="utf-8")
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
    parts += [section for name, what in TABLES.items() if (section := _section(found, name, what))]
    parts += [*_scale(found), *_failures(found), HOW]
    return "\n".join(parts)


def ratios(rows: Sequence[Row]) -> str:
    """Return the table of ratios."""
    lines = ["| figure | gaugepost | the other | ratio | asked for | |", "| --- | --- | --- | --- | --- | --- |"]
    return "\n".join(lines + [_line(figure) for figure in figures(Rows(rows))]) + "\n"


def speed(rows: Sequence[Row]) -> str:
    """Return the README's part."""
    lines = [f"![Bulk drain: jobs a second](benchmarks/{PLOT})", "", "| against | ratio |", "| --- | --- |"]
    lines += [f"| {one.title} | **{one.result:.2g} ×** |" for one in figures(Rows(rows)) if one.short]
    return "\n".join(lines)


def _line(figure: Figure) -> str:
    low, high = figure.noise
    other = f"{_number(median(figure.theirs.values()))}{figure.unit}" if figure.theirs else "–"
    other += f" ({figure.against})" if figure.against else ""
    times = "" if figure.plain else " ×"
    result = f"{_number(figure.result)}{times} [{_number(low)}–{_number(high)}]"
    asked = f"{'≤' if figure.less else '≥'} {_number(figure.asked)}{times}"
    ours = f"{_number(median(figure.ours.values()))}{figure.unit}"
    return f"| {figure.title} | {ours} | {other} | {result} | {asked} | {'yes' if figure.reached else '**no**'} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three figures are enough


Column = tuple[str, Callable[[Rows, str, str], str]]


def _median(key: str, form: str = "{:,.0f}", *, spread: bool = False) -> Callable[[Rows, str, str], str]:
    def cell(rows: Rows, part: str, name: str) -> str:
        return _spelled(rows.values(part, name, key), form, spread=spread)

    return cell


def _spelled(values: Sequence[float], form: str, *, spread: bool) -> str:
    if not values:
        return "–"
    told = form.format(median(values))
    return f"{told} [{form.format(min(values))}–{form.format(max(values))}]" if spread and len(values) > 1 else told


def _latency(q: float) -> Callable[[Rows, str, str], str]:
    return lambda rows, _, name: _spelled(list(rows.latency(name, q).values()), "{:.2f}", spread=True)


def _largest(key: str) -> Callable[[Rows, str, str], str]:
    return lambda rows, part, name: f"{max(rows.values(part, name, key), default=0):.0%}"


_DRAIN: list[Column] = [
    ("jobs/s", _median("rate", spread=True)),
    ("jobs", _median("jobs")),
    ("worker CPU s/1k", _median("worker_cpu_s", "{:.2f}", spread=True)),
    ("producer CPU s/1k", _median("producer_cpu_s", "{:.2f}")),
    ("Redis CPU s/1k", _median("redis_cpu_s", "{:.2f}")),
    ("stub CPU s/1k", _median("stub_cpu_s", "{:.2f}")),
    ("workers' peak MB", _median("worker_peak_mb")),
    ("largest process MB", _median("process_peak_mb")),
    ("producer's peak MB", _median("producer_peak_mb")),
    ("Redis' peak MB", _median("redis_peak_mb")),
    ("Redis commands a job", _median("commands", "{:.1f}")),
    ("from clients", lambda rows, _, name: _median("from_clients", "{:.2f}")(rows, "trips", name)),
    ("others, at most", _largest("others")),
]
_ENQUEUE: list[Column] = [
    ("jobs/s", _median("rate", spread=True)),
    ("Redis bytes a job", _median("bytes")),
    ("Redis commands a job", _median("commands", "{:.2f}")),
    ("producer CPU s/1k", _median("producer_cpu_s", "{:.2f}")),
    ("producer's peak MB", _median("producer_peak_mb")),
]
TABLES: dict[str, tuple[str, list[Column]]] = {
    "drain": ("Bulk drain", _DRAIN),
    "singles": ("Enqueued one by one and drained", [one for one in _DRAIN if one[0] != "from clients"]),
    "slow": ("Answers after 200 ms, at most 256 out at a time", [
        ("jobs/s while sending", _median("sent_rate", spread=True)), ("possible", _median("possible")),
        ("most connections", _median("most_open")), *_DRAIN[2:3], *_DRAIN[6:8], _DRAIN[-1]]),
    "latency": ("Idle: from enqueue to arrival", [("p50 ms", _latency(0.5)), ("p99 ms", _latency(0.99))]),
    "enqueue single": ("Enqueue one by one, no worker running", _ENQUEUE),
    "enqueue bulk": ("Enqueue in bulk, no worker running", _ENQUEUE),
}  # fmt: skip


def _section(rows: Rows, part: str, what: tuple[str, list[Column]]) -> str:
    title, columns = what
    names = rows.contestants(part)
    if not names:
        return ""
    if part == "latency":
        names.sort(key=lambda name: median(rows.latency(name, 0.5).values()))
    lines = [f"## {title}\n", f"| | {' | '.join(name for name, _ in columns)} |", "| --- " * (len(columns) + 1) + "|"]
    for name in names:
        cells = [cell(rows, part, name) for _, cell in columns]
        lines.append(f"| {f'**{name}**' if name == US else name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


_SIZES = {
    "jobs": ("queued jobs", "{:,}"), "bytes": ("Redis bytes a job", "{:,.0f}"), "enqueue_s": ("enqueue s", "{:.2f}"),
    "producer_mb": ("producer's peak MB", "{:.0f}"), "claim_us": ("claim µs a job", "{:.0f}"),
    "settle_us": ("settle µs a job", "{:.0f}"), "summary_ms": ("figures of `status` ms", "{:.1f}"),
    "status_s": ("`status` s", "{:.2f}"), "jobs_s": ("`jobs --limit 50` s", "{:.2f}"), "rate": ("drain/s", "{:,.0f}"),
    "first": ("first tenth/s", "{:,.0f}"), "last": ("last tenth/s", "{:,.0f}"),
    "worker_early_mb": ("worker MB after a tenth", "{:.0f}"), "worker_peak_mb": ("worker's peak MB", "{:.0f}"),
    "beat_mb": ("beat's peak MB", "{:.0f}"), "longest_ms": ("longest command ms", "{:.1f}"),
}  # fmt: skip


def _scale(rows: Rows) -> Iterator[str]:
    """Put the lengths of the queue side by side: what grows from left to right depends on it."""
    sizes = rows.of("scale")
    if sizes:
        yield f"## Scale\n\n| | {' | '.join(' ' for _ in sizes)} |\n{'| --- ' * (len(sizes) + 1)}|"
        for key, (title, form) in _SIZES.items():
            cells = [form.format(row[key]) if key in row else "–" for row in sizes]
            yield f"| {title} | {' | '.join(cells)} |"
        yield "\nTwo worker processes, and a beat. `status` and `jobs` are whole commands, Python's start included.\n"
    for row in rows.of("due"):
        jobs, rate, longest, idle = (row[key] for key in ("jobs", "rate", "longest_ms", "idle_promote_ms"))
        yield (
            f"{jobs:,} parked jobs due at the same moment are let go and delivered at {rate:,.0f}/s (pace: 2,000/s); "
            f"the longest command took {longest:.1f} ms, a tick with nothing to do {idle:.1f} ms.\n"
        )


def _where(rows: Rows) -> str:
    [told] = rows.of("about")
    versions = ["; ".join([f"{name} {version}" for name, version in told[side].items()]) for side in ("ours", "theirs")]
    field = "\n".join(f"* **{one.name}**: {one.about}" for one in everybody())
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

    return [bar(name) for name in rows.contestants("drain")]
