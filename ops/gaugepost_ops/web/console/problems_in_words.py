"""What is wrong in a region, in words: with the texts of `status` and `holds`, the worst first."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from gaugepost.ledger.explanations import action, meaning
from gaugepost_ops.cli.output.formatting import clock
from gaugepost_ops.web.console.snapshots import UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gaugepost.ledger import Hold
    from gaugepost_ops.web.console.snapshots import Snapshot

LATE_MS = 600_000
"""A job that has been queued for so long is late."""
_SHOWN_HOLDS = 5


class Problem(NamedTuple):
    """One thing that is wrong. `level`: `bad` (the region sends nothing) or `warn`. `path`: the page about it."""

    level: str
    region: str
    text: str
    to_do: str
    path: str = ""


def problems_of(snapshots: Iterable[Snapshot]) -> list[Problem]:
    """Return what is wrong in some regions, the worst first. What is wrong in several of them is said once."""
    regions: dict[tuple[str, str, str, str], list[str]] = {}
    for snapshot in snapshots:
        for one in _found(snapshot, str(snapshot.region)):
            regions.setdefault((one.level, one.text, one.to_do, one.path), []).append(one.region)
    found = [Problem(level, ", ".join(of), *more) for (level, *more), of in regions.items()]
    return sorted(found, key=lambda problem: problem.level != "bad")


def _found(snapshot: Snapshot, region: str) -> Iterator[Problem]:
    summary = snapshot.summary
    if summary is None:
        to_do = "Services cannot enqueue there, and workers wait. Start Redis again; `gaugepost check` tests it."
        if snapshot.trouble != UNREACHABLE:
            to_do = f"`gaugepost status --region {region}` shows what the console cannot."
        yield Problem("bad", region, snapshot.trouble, to_do)
        return
    for part in summary["missing"]:
        level = "bad" if part["part"] == "worker" else "warn"
        yield Problem(level, region, part["reason"], f"Start it: `{part['command']}`")
    yield from _of_holds(snapshot, region)
    if number := summary["unknown"]:
        text = f"{number:,} {_jobs(number)} a person: sent, and the answer was lost"
        to_do = "Check at CustomerGauge whether each job arrived. Then settle it on its page, or by `gaugepost settle`."
        yield Problem("warn", region, text, to_do, f"/jobs?state=unknown&region={region}")
    if snapshot.oldest_since is not None and snapshot.at - snapshot.oldest_since > LATE_MS:
        text = f"a job has been queued since {clock(snapshot.oldest_since, seconds=False)}"
        yield Problem("warn", region, text, "More workers, or more CONCURRENCY, empty the queue faster.")
    if number := summary["dead"]:
        verdicts = sorted(summary["dead_by_verdict"].items(), key=lambda item: -item[1])
        causes = ", ".join(f"{verdict} {count:,}" for verdict, count in verdicts[:3])
        text = f"{number:,} {'jobs are' if number > 1 else 'job is'} dead: {causes}"
        to_do = "The page Stuck shows the causes and what helps, as `gaugepost jobs --group` does."
        yield Problem("warn", region, text, to_do, f"/stuck?region={region}")


def _of_holds(snapshot: Snapshot, region: str) -> Iterator[Problem]:
    holds = sorted(snapshot.holds.values(), key=lambda hold: (hold.scope != "", hold.since))
    for hold in islice(holds, _SHOWN_HOLDS):
        yield _of_hold(hold, region)
    if (more := len(holds) - _SHOWN_HOLDS) > 0:
        yield Problem("warn", region, f"{more:,} more holds", "`gaugepost holds` lists all", "/holds")


def _of_hold(hold: Hold, region: str) -> Problem:
    what = hold.scope.replace(":", " ", 1) or "the region"
    why = f"{hold.reason} ({meaning(hold)})" if meaning(hold) else hold.reason
    until = f" until {clock(hold.until, seconds=False)}" if hold.until else ""
    text = f"{what} is held{until}: {why}"
    to_do = action(hold, region) or f"Opened by {hold.by}. Lift it on the page Holds, or by `gaugepost resume`."
    return Problem("bad" if not hold.scope else "warn", region, text, to_do, "/holds")


def _jobs(number: int) -> str:
    return "jobs need" if number > 1 else "job needs"
