"""`make bench`: run the turns of all targets, and write the report.

    python -m benchmarks [PART…] [--only NAME,…] [--runs N] [--jobs N] [--concurrency N] [--quick] [--out FOLDER]

Without PART it runs all parts. A whole run writes RESULTS.md, its rows (`results.jsonl`), the plot and the README's
figures. A partial run prints its ratios, and writes only with `--out`. `report` measures nothing, and writes the report
again from the rows.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import measures, report, scale, targets, trace
from benchmarks.harness import Failed, Stub, Turn
from benchmarks.measures import Row
from benchmarks.summary import LATENCY_GOALS, PRODUCT
from benchmarks.targets import Target

PARTS = {
    "drain": "jobs enqueued in bulk, delivered meanwhile",
    "singles": "jobs enqueued one by one, delivered meanwhile",
    "trips": "commands of clients to Redis, for a job",
    "latency": "one job at a time, from enqueue to arrival",
    "trace": "where the time of one job goes in an idle worker of gaugepost",
    "slow": "answers after 200 ms, 256 jobs in flight",
    "enqueue": "enqueue alone, one by one and in bulk; Redis' bytes a job",
    "scale": "gaugepost over 1,000 to 1,000,000 queued jobs",
}
EXTRA_ENQUEUE_RUNS = 2
"""More rounds where only enqueue is timed. A turn takes 1 to 4 s, so it matters which processes share a core."""
WORK_PARTS = ("drain", "singles", "trips", "latency")
"""Parts that share one turn of a target, with the same workers."""
_STOCK_REQUESTS = ("gaugepost (requests)", "celery prefork (requests)")
QUICK = frozenset(
    {"gaugepost", "urllib3 loop", "bare limit", "taskiq", "celery prefork", "raw LPUSH", *_STOCK_REQUESTS}
)


@dataclass(frozen=True)
class Plan:
    """How much to measure. `only`: names of targets; empty means all."""

    parts: tuple[str, ...]
    only: frozenset[str]
    runs: int = 3
    jobs: int | None = None
    """Replaces each target's own number."""
    concurrency: int = 16
    latencies: int = 300
    slow_jobs: int = 12_800
    sample: int = 5_000
    singles: int = 5_000
    bulk: int = 10_000
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    due: int = 100_000

    def quick(self) -> Plan:
        """Return the smallest plan that still runs every part."""
        return replace(self, runs=1, jobs=self.jobs or 300, latencies=10, slow_jobs=1_000, sample=200, singles=200,
                       bulk=1_000, sizes=(1_000,), due=1_000, only=self.only or QUICK)  # fmt: skip

    def includes(self, target: Target) -> bool:
        return not self.only or target.name in self.only

    def jobs_of(self, target: Target) -> int:
        return self.jobs or target.jobs


class Session:
    """One run of the harness. It collects rows, and logs to stderr."""

    def __init__(self, plan: Plan, stub: Stub, folder: Path) -> None:
        self.plan, self._stub, self._folder = plan, stub, folder
        self.rows: list[Row] = []
        self.failures = 0
        self._turns = 0
        self._began = time.monotonic()

    def run(self) -> None:
        parts = self.plan.parts
        work_parts = [part for part in WORK_PARTS if part in parts]
        if work_parts:
            self._in_turns(targets.all_targets(self.plan.concurrency), lambda one, n: self._work(one, n, work_parts))
        if "trace" in parts and self.plan.includes(targets.gaugepost()):
            self.turn(trace.target(), 1, self._trace)
        if "slow" in parts:
            self._in_turns(targets.at_limit(), self._slow)
        if "enqueue" in parts:
            more = EXTRA_ENQUEUE_RUNS if self.plan.runs > 1 else 0
            self._in_turns(list(producers(targets.all_targets())), self._enqueue, more)
        if "scale" in parts and self.plan.includes(targets.gaugepost()):
            self._scale()

    def log(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        sys.stderr.write(f"[{minutes:02}:{seconds:02}] {text}\n")
        sys.stderr.flush()

    def _in_turns(self, all_of_them: Iterable[Target], turn: Callable[[Target, int], None], more: int = 0) -> None:
        """Run each target once in each round: A B C A B C …. Targets with the role `context` run once only."""
        taking = [one for one in all_of_them if self.plan.includes(one)]
        for missing in [one for one in taking if not one.is_installed()]:
            self.log(f"{missing.name} is skipped: there is no environment {missing.bin}. `make bench` creates it.")
        for run in range(1, self.plan.runs + more + 1):
            for one in taking:
                if one.is_installed() and (run == 1 or one.role != "context"):
                    turn(one, run)

    def turn(self, target: Target, run: int, steps: Callable[[Turn], Iterator[Row]]) -> None:
        """Run one turn. Record any failure, and continue with the other targets."""
        self._turns += 1
        turn = Turn(target, self._stub, self._folder / str(self._turns))
        try:
            with turn:
                for row in steps(turn):
                    self.rows.append({"contestant": target.name, "run": run, **row})
                    self.log(f"run {run}: {target.name}: {report.brief(self.rows[-1])}")
        except Exception as failure:  # noqa: BLE001 - one target must not lose the figures of half an hour
            self.failures += 1
            reason = str(failure) if isinstance(failure, Failed) else repr(failure)
            why = f"{reason}; end of its log: {turn.log_tail()}"
            self.rows.append({"contestant": target.name, "run": run, "part": "failed", "why": why})
            self.log(f"run {run}: {target.name} FAILED: {why}")

    def _work(self, target: Target, run: int, parts: list[str]) -> None:
        jobs, plan = self.plan.jobs_of(target), self.plan
        if not target.worker:
            return

        def steps(turn: Turn) -> Iterator[Row]:
            turn.warm()
            if "drain" in parts:
                yield {"part": "drain"} | measures.drain(turn, "bulk", jobs)
            if target.drains_only:
                return
            if "singles" in parts:
                yield {"part": "singles"} | measures.drain(turn, "single", jobs)
            if "latency" in parts and (run == 1 or target.name in {PRODUCT, *LATENCY_GOALS}):
                few = plan.latencies // 5 if target.name == "arq" else plan.latencies  # it polls twice a second
                yield {"part": "latency"} | measures.latency(turn, few)
            if "trips" in parts and run == 1:
                yield {"part": "trips"} | measures.from_clients(turn, "bulk", min(plan.sample, jobs))

        self.turn(target, run, steps)

    def _trace(self, turn: Turn) -> Iterator[Row]:
        turn.warm()
        yield {"part": "trace"} | trace.measure(turn, self.plan.latencies)

    def _slow(self, target: Target, run: int) -> None:
        def steps(turn: Turn) -> Iterator[Row]:
            turn.warm()
            yield {"part": "slow"} | measures.at_limit(turn, self.plan.slow_jobs)

        self.turn(target, run, steps)

    def _enqueue(self, target: Target, run: int) -> None:
        def steps(turn: Turn) -> Iterator[Row]:
            if target.worker:
                yield {"part": "enqueue single"} | measures.enqueue(turn, "single", self.plan.singles)
            if target.bulk:
                yield {"part": "enqueue bulk"} | measures.enqueue(turn, "bulk", self.plan.bulk)

        self.turn(target, run, steps)

    def _scale(self) -> None:
        product = targets.gaugepost(self.plan.concurrency)

        def one(part: str, measure: Callable[[Turn, int, Callable[[str], None]], Row], jobs: int) -> None:
            self.turn(product, 1, lambda turn: iter([{"part": part} | measure(turn, jobs, self.log)]))

        for jobs in self.plan.sizes:
            one("scale", scale.size, jobs)
        one("due", scale.due_at_once, self.plan.due)


def producers(all_of_them: Iterable[Target]) -> Iterator[Target]:
    """Yield one target for each way to enqueue: some targets share one."""
    seen = {"benchmarks.queues.bare_aiohttp"}
    for one in all_of_them:
        if one.module not in seen:
            seen.add(one.module)
            yield one


def read_options(arguments: list[str]) -> argparse.Namespace:
    parts = "\n".join(f"  {name:9} {what}" for name, what in PARTS.items())
    names = ", ".join(one.name for one in targets.all_targets())
    parser = argparse.ArgumentParser(
        prog="make bench", formatter_class=argparse.RawDescriptionHelpFormatter, description="How fast gaugepost is.",
        epilog=f"parts (all, if none is named):\n{parts}\n  report    measure nothing; write the report again from "
        f"its rows\n\ntargets: {names}",
    )  # fmt: skip
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure")
    parser.add_argument("--only", default="", help="targets, separated by commas; 'celery' means both")
    parser.add_argument("--runs", type=int, help="turns of each target (3)")
    parser.add_argument("--jobs", type=int, help="jobs in a drain, instead of each target's own number")
    parser.add_argument("--concurrency", type=int, default=16, help="of gaugepost's worker processes (16)")
    parser.add_argument("--sizes", default="", help="lengths of the queue for `scale`, separated by commas")
    parser.add_argument("--quick", action="store_true", help="check that it works; its figures mean nothing")
    parser.add_argument("--out", type=Path, help="folder of the report; benchmarks/ after a whole run")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - {*PARTS, "report"}:
        parser.error(f"unknown part: {', '.join(sorted(unknown))}; known are {', '.join(PARTS)}, report")
    return options


def plan_of(options: argparse.Namespace) -> Plan:
    names = {one.name for one in targets.all_targets()}
    requested = [name.strip() for name in options.only.split(",") if name.strip()]
    only = frozenset(
        name for name in names for word in requested if word == name or word == name.split()[0] == "celery"
    )
    unknown = [word for word in requested if word not in names | {"celery"}]
    if unknown:
        sys.exit(f"unknown target: {', '.join(unknown)}; known are {', '.join(sorted(names))}")
    plan = Plan(tuple(options.parts or PARTS), only, jobs=options.jobs, concurrency=options.concurrency)
    plan = plan.quick() if options.quick else plan
    plan = replace(plan, runs=options.runs or plan.runs)
    return replace(plan, sizes=tuple(map(int, options.sizes.split(",")))) if options.sizes else plan


def main(arguments: list[str]) -> int:
    options = read_options(arguments)
    if options.parts == ["report"]:
        folder = options.out or report.FOLDER
        rows = [json.loads(line) for line in (folder / report.ROWS).read_text().splitlines()]
        report.write(folder, rows, readme=folder == report.FOLDER)
        return 0
    plan = plan_of(options)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, Stub(Path(scratch)) as stub:
        session = Session(plan, stub, Path(scratch))
        session.run()
    partial = options.parts or options.only or options.quick or options.jobs or options.sizes
    whole = not partial and plan.runs >= Plan.runs
    rows = [report.about(), *session.rows]
    print(report.ratios(rows))
    if options.out or whole:
        report.write(options.out or report.FOLDER, rows, readme=whole and options.out is None)
    return 1 if session.failures else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that __exit__ stops the workers
    sys.exit(main(sys.argv[1:]))
