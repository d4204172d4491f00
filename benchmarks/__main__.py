"""`make bench`: the turns of all contestants, one after another, and what they amount to.

    python -m benchmarks [PART…] [--only NAME,…] [--runs N] [--jobs N] [--concurrency N] [--quick] [--out FOLDER]

Without PART: all. A whole run writes RESULTS.md, its rows (`results.jsonl`), the plot and the README's figures; a part
of one, or fewer runs, prints, and writes only where `--out` says. `report` measures nothing and writes them from the
rows again.
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
from benchmarks.summary import LATENCIES_ASKED, US
from benchmarks.targets import Contestant

PARTS = {
    "drain": "jobs enqueued in bulk and done at once",
    "singles": "jobs enqueued one by one and done at once",
    "trips": "commands that clients send to Redis for a job",
    "latency": "one job at a time, from enqueue to arrival",
    "trace": "where the time of one job goes in an idle worker of gaugepost",
    "slow": "answers that take 200 ms, 256 jobs out at a time",
    "enqueue": "enqueue alone, one by one and in bulk; Redis' bytes a job",
    "scale": "gaugepost over 1,000 to 1,000,000 queued jobs",
}
MORE_ENQUEUES = 2
"""So many rounds more where only enqueue is timed: a turn lasts a second or four, and there it matters which processes
share a core."""
AT_WORK = ("drain", "singles", "trips", "latency")
"""Parts that a contestant does in one turn, with the same workers."""
_AS_IT_COMES = ("gaugepost (requests)", "celery prefork (requests)")
QUICK = frozenset({"gaugepost", "urllib3 loop", "bare limit", "taskiq", "celery prefork", "raw LPUSH", *_AS_IT_COMES})


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    parts: tuple[str, ...]
    only: frozenset[str]
    runs: int = 3
    jobs: int | None = None
    """In place of each contestant's own number."""
    concurrency: int = 16
    latencies: int = 300
    slow_jobs: int = 12_800
    sample: int = 5_000
    singles: int = 5_000
    bulk: int = 10_000
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    due: int = 100_000

    def quick(self) -> Plan:
        """Return the smallest plan that goes through everything."""
        return replace(self, runs=1, jobs=self.jobs or 300, latencies=10, slow_jobs=1_000, sample=200, singles=200,
                       bulk=1_000, sizes=(1_000,), due=1_000, only=self.only or QUICK)  # fmt: skip

    def takes(self, contestant: Contestant) -> bool:
        return not self.only or contestant.name in self.only

    def jobs_of(self, contestant: Contestant) -> int:
        return self.jobs or contestant.jobs


class Session:
    """One run of the harness: its rows, and what it says on stderr."""

    def __init__(self, plan: Plan, stub: Stub, folder: Path) -> None:
        self.plan, self._stub, self._folder = plan, stub, folder
        self.rows: list[Row] = []
        self.failures = 0
        self._turns = 0
        self._began = time.monotonic()

    def run(self) -> None:
        parts = self.plan.parts
        at_work = [part for part in AT_WORK if part in parts]
        if at_work:
            self._in_turns(targets.everybody(self.plan.concurrency), lambda one, n: self._work(one, n, at_work))
        if "trace" in parts and self.plan.takes(targets.gaugepost()):
            self.turn(trace.contestant(), 1, self._trace)
        if "slow" in parts:
            self._in_turns(targets.at_limit(), self._slow)
        if "enqueue" in parts:
            more = MORE_ENQUEUES if self.plan.runs > 1 else 0
            self._in_turns(list(producers(targets.everybody())), self._enqueue, more)
        if "scale" in parts and self.plan.takes(targets.gaugepost()):
            self._scale()

    def tell(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        sys.stderr.write(f"[{minutes:02}:{seconds:02}] {text}\n")
        sys.stderr.flush()

    def _in_turns(
        self, all_of_them: Iterable[Contestant], turn: Callable[[Contestant, int], None], more: int = 0
    ) -> None:
        """Give each contestant its turn, as often as there are runs: A B C A B C …; context has one turn."""
        taking = [one for one in all_of_them if self.plan.takes(one)]
        for missing in [one for one in taking if not one.is_installed()]:
            self.tell(f"{missing.name} is left out: no environment {missing.bin} (`make bench` makes it)")
        for run in range(1, self.plan.runs + more + 1):
            for one in taking:
                if one.is_installed() and (run == 1 or one.sort != "context"):
                    turn(one, run)

    def turn(self, contestant: Contestant, run: int, steps: Callable[[Turn], Iterator[Row]]) -> None:
        """Carry out one turn; a contestant that fails is noted and does not stop the others, whatever the failure."""
        self._turns += 1
        turn = Turn(contestant, self._stub, self._folder / str(self._turns))
        try:
            with turn:
                for row in steps(turn):
                    self.rows.append({"contestant": contestant.name, "run": run, **row})
                    self.tell(f"run {run}: {contestant.name}: {report.brief(self.rows[-1])}")
        except Exception as failure:  # noqa: BLE001 - figures of half an hour must not be lost to one contestant
            self.failures += 1
            reason = str(failure) if isinstance(failure, Failed) else repr(failure)
            why = f"{reason}; its log ends: {turn.last_words()}"
            self.rows.append({"contestant": contestant.name, "run": run, "part": "failed", "why": why})
            self.tell(f"run {run}: {contestant.name} FAILED: {why}")

    def _work(self, contestant: Contestant, run: int, parts: list[str]) -> None:
        jobs, plan = self.plan.jobs_of(contestant), self.plan
        if not contestant.worker:
            return

        def steps(turn: Turn) -> Iterator[Row]:
            turn.warm()
            if "drain" in parts:
                yield {"part": "drain"} | measures.drain(turn, "bulk", jobs)
            if contestant.drains_only:
                return
            if "singles" in parts:
                yield {"part": "singles"} | measures.drain(turn, "single", jobs)
            if "latency" in parts and (run == 1 or contestant.name in {US, *LATENCIES_ASKED}):
                few = plan.latencies // 5 if contestant.name == "arq" else plan.latencies  # it polls twice a second
                yield {"part": "latency"} | measures.latency(turn, few)
            if "trips" in parts and run == 1:
                yield {"part": "trips"} | measures.from_clients(turn, "bulk", min(plan.sample, jobs))

        self.turn(contestant, run, steps)

    def _trace(self, turn: Turn) -> Iterator[Row]:
        turn.warm()
        yield {"part": "trace"} | trace.measure(turn, self.plan.latencies)

    def _slow(self, contestant: Contestant, run: int) -> None:
        def steps(turn: Turn) -> Iterator[Row]:
            turn.warm()
            yield {"part": "slow"} | measures.at_limit(turn, self.plan.slow_jobs)

        self.turn(contestant, run, steps)

    def _enqueue(self, contestant: Contestant, run: int) -> None:
        def steps(turn: Turn) -> Iterator[Row]:
            if contestant.worker:
                yield {"part": "enqueue single"} | measures.enqueue(turn, "single", self.plan.singles)
            if contestant.bulk:
                yield {"part": "enqueue bulk"} | measures.enqueue(turn, "bulk", self.plan.bulk)

        self.turn(contestant, run, steps)

    def _scale(self) -> None:
        product = targets.gaugepost(self.plan.concurrency)

        def one(part: str, measure: Callable[[Turn, int, Callable[[str], None]], Row], jobs: int) -> None:
            self.turn(product, 1, lambda turn: iter([{"part": part} | measure(turn, jobs, self.tell)]))

        for jobs in self.plan.sizes:
            one("scale", scale.size, jobs)
        one("due", scale.due_at_once, self.plan.due)


def producers(all_of_them: Iterable[Contestant]) -> Iterator[Contestant]:
    """Each way to enqueue once: some contestants share theirs."""
    seen = {"benchmarks.queues.bare_aiohttp"}
    for one in all_of_them:
        if one.module not in seen:
            seen.add(one.module)
            yield one


def read_options(arguments: list[str]) -> argparse.Namespace:
    parts = "\n".join(f"  {name:9} {what}" for name, what in PARTS.items())
    names = ", ".join(one.name for one in targets.everybody())
    parser = argparse.ArgumentParser(
        prog="make bench", formatter_class=argparse.RawDescriptionHelpFormatter, description="How fast gaugepost is.",
        epilog=f"parts (all, if none is named):\n{parts}\n  report    measure nothing; write the report anew from "
        f"its rows\n\ncontestants: {names}",
    )  # fmt: skip
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure")
    parser.add_argument("--only", default="", help="contestants, separated by commas; 'celery' means both")
    parser.add_argument("--runs", type=int, help="turns of each contestant (3)")
    parser.add_argument("--jobs", type=int, help="jobs in a drain, in place of each contestant's own number")
    parser.add_argument("--concurrency", type=int, default=16, help="of gaugepost's worker processes (16)")
    parser.add_argument("--sizes", default="", help="lengths of the queue for `scale`, separated by commas")
    parser.add_argument("--quick", action="store_true", help="whether it works; its figures say nothing")
    parser.add_argument("--out", type=Path, help="where the report goes; benchmarks/ after a whole run")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - {*PARTS, "report"}:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}, report")
    return options


def plan_of(options: argparse.Namespace) -> Plan:
    names = {one.name for one in targets.everybody()}
    asked = [name.strip() for name in options.only.split(",") if name.strip()]
    only = frozenset(name for name in names for word in asked if word == name or word == name.split()[0] == "celery")
    unknown = [word for word in asked if word not in names | {"celery"}]
    if unknown:
        sys.exit(f"no contestant {', '.join(unknown)}; there are {', '.join(sorted(names))}")
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
    asked_less = options.parts or options.only or options.quick or options.jobs or options.sizes
    whole = not asked_less and plan.runs >= Plan.runs
    rows = [report.about(), *session.rows]
    print(report.ratios(rows))
    if options.out or whole:
        report.write(options.out or report.FOLDER, rows, readme=whole and options.out is None)
    return 1 if session.failures else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no worker is left behind
    sys.exit(main(sys.argv[1:]))
