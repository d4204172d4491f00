"""Build the tables of RESULTS.md from the rows of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks import trace
from benchmarks.summary import FIELD, PRODUCT, PRODUCT_ON_REQUESTS, Rows, median

Column = tuple[str, Callable[[Rows, str, str], str]]


def _median(key: str, form: str = "{:,.0f}", *, spread: bool = False) -> Callable[[Rows, str, str], str]:
    def cell(rows: Rows, part: str, name: str) -> str:
        return _format(rows.values(part, name, key), form, spread=spread)

    return cell


def _format(values: Sequence[float], form: str, *, spread: bool) -> str:
    if not values:
        return "–"
    text = form.format(median(values))
    return f"{text} [{form.format(min(values))}–{form.format(max(values))}]" if spread and len(values) > 1 else text


def _latency(q: float) -> Callable[[Rows, str, str], str]:
    return lambda rows, _, name: _format(list(rows.latency(name, q).values()), "{:.2f}", spread=True)


def _largest(key: str) -> Callable[[Rows, str, str], str]:
    return lambda rows, part, name: f"{max(rows.values(part, name, key), default=0):.0%}"


CLIENTS = {
    "direct": "requests, gaugepost's adapter",
    "requests": "requests",
    "aiohttp": "aiohttp",
    "urllib3": "urllib3",
}
_DRAIN: list[Column] = [
    ("HTTP client", lambda _rows, _part, name: CLIENTS[FIELD[name].client]),
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


@dataclass(frozen=True)
class Table:
    """One table: the rows of a part, for the targets that `includes` selects."""

    part: str
    title: str
    columns: Sequence[Column]
    includes: Callable[[str], bool] = lambda _: True


def on_stock_requests(name: str) -> bool:
    return name in FIELD and FIELD[name].client == "requests"


TABLES = (
    Table("drain", "Bulk drain, same client", _DRAIN, lambda name: not on_stock_requests(name)),
    Table("drain", "Bulk drain, stock requests", [one for one in _DRAIN if one[0] != "from clients"],
          on_stock_requests),
    Table("singles", "Enqueued one by one and drained, same client",
          [one for one in _DRAIN if one[0] != "from clients"]),
    Table("slow", "Answers after 200 ms, at most 256 jobs in flight", [
        ("jobs/s while sending", _median("sent_rate", spread=True)), ("possible", _median("possible")),
        ("most connections", _median("most_open")), *_DRAIN[3:4], *_DRAIN[7:9], _DRAIN[-1]]),
    Table("latency", "Idle: from enqueue to arrival", [("p50 ms", _latency(0.5)), ("p99 ms", _latency(0.99))]),
    Table("enqueue single", "Enqueue one by one, no worker running", _ENQUEUE),
    Table("enqueue bulk", "Enqueue in bulk, no worker running", _ENQUEUE),
)  # fmt: skip


def section(rows: Rows, table: Table) -> str:
    columns, part = table.columns, table.part
    names = [name for name in rows.targets(part) if table.includes(name)]
    if not names:
        return ""
    if part == "latency":
        names.sort(key=lambda name: median(rows.latency(name, 0.5).values()))
    head = f"| | {' | '.join(name for name, _ in columns)} |"
    lines = [f"## {table.title}\n", head, "| --- " * (len(columns) + 1) + "|"]
    for name in names:
        cells = [cell(rows, part, name) for _, cell in columns]
        lines.append(f"| {f'**{name}**' if name in {PRODUCT, PRODUCT_ON_REQUESTS} else name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def traced(rows: Rows) -> Iterator[str]:
    for row in rows.of("trace"):
        lines = "\n".join(trace.table(row))
        yield f"## Where the time of a single job goes\n\n{lines}\n"
        yield (
            f"{row['traced']:,} of {row['jobs']:,} jobs, one at a time, in a worker of one process that records when "
            "it reaches each step, in ms since the producer began to enqueue. The first step includes the producer's "
            "call, the script in Redis, and the end of Celery's BRPOP.\n"
        )


_SIZES = {
    "jobs": ("queued jobs", "{:,}"), "bytes": ("Redis bytes a job", "{:,.0f}"), "enqueue_s": ("enqueue s", "{:.2f}"),
    "producer_mb": ("producer's peak MB", "{:.0f}"), "claim_us": ("claim µs a job", "{:.0f}"),
    "settle_us": ("settle µs a job", "{:.0f}"), "summary_ms": ("figures of `status` ms", "{:.1f}"),
    "status_s": ("`status` s", "{:.2f}"), "jobs_s": ("`jobs --limit 50` s", "{:.2f}"), "rate": ("drain/s", "{:,.0f}"),
    "first": ("first tenth/s", "{:,.0f}"), "last": ("last tenth/s", "{:,.0f}"),
    "worker_early_mb": ("worker MB after a tenth", "{:.0f}"), "worker_peak_mb": ("worker's peak MB", "{:.0f}"),
    "beat_mb": ("beat's peak MB", "{:.0f}"), "longest_ms": ("longest command ms", "{:.1f}"),
}  # fmt: skip


def scaled(rows: Rows) -> Iterator[str]:
    """Yield the table of queue lengths. A row that grows from left to right depends on the length."""
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
            f"{jobs:,} parked jobs due at the same moment are released and sent at {rate:,.0f}/s (pace: 2,000/s); "
            f"the longest command took {longest:.1f} ms, a tick with nothing to do {idle:.1f} ms.\n"
        )
