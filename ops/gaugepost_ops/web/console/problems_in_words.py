"""What is wrong in a region, in words: with the texts of `status` and `holds`, the worst first."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from gaugepost.ledger.explanations import action
from gaugepost_ops.cli.output.formatting import clock, counted
from gaugepost_ops.web.console.snapshots import UNREACHABLE
from gaugepost_ops.web.console.words import in_words, what_is_held, why_held

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gaugepost.client import Producer
    from gaugepost.ledger import Hold
    from gaugepost.regions import Region
    from gaugepost_ops.web.console.snapshots import Snapshot

LATE_MS = 600_000
"""A job that has been queued for so long is late."""
_SHOWN_HOLDS = 5


class Problem(NamedTuple):
    """One thing that is wrong. `level`: `bad` (the region sends nothing) or `warn`.

    `path`: the page about it, and `see` what is there. In what is wrong in several regions, `…` stands for each.
    """

    level: str
    region: str
    text: str
    to_do: str
    path: str = ""
    see: str = ""


def problems_of(producer: Producer, snapshots: Iterable[Snapshot]) -> list[Problem]:
    """Return what is wrong in some regions, the worst first. What is wrong in several of them is said once."""
    alike: dict[Problem, list[Problem]] = {}
    for snapshot in snapshots:
        for one in _found(producer, snapshot):
            alike.setdefault(_of_any_region(one), []).append(one)
    found = [
        of[0] if len(of) == 1 else one._replace(region=", ".join(each.region for each in of))
        for one, of in alike.items()
    ]
    return sorted(found, key=lambda problem: problem.level != "bad")


def _of_any_region(one: Problem) -> Problem:
    """Return the same without its region, unless it counts jobs of the region."""
    if "region=" in one.path:
        return one
    return one._replace(region="", to_do=one.to_do.replace(f"--region {one.region}", "--region …"))


def _found(producer: Producer, snapshot: Snapshot) -> Iterator[Problem]:
    summary, region = snapshot.summary, snapshot.region
    if summary is None:
        to_do = "Services cannot enqueue there, and workers wait. Start Redis again; `gaugepost check` tests it."
        if snapshot.trouble != UNREACHABLE:
            to_do = f"`gaugepost status --region {region}` shows what the console cannot."
        yield Problem("bad", region, snapshot.trouble, to_do)
        return
    for part in summary["missing"]:
        yield _missing(part, region, has_workers=bool(summary["workers"]))
    yield from _of_holds(producer, snapshot)
    if number := summary["unknown"]:
        text = f"{counted(number, 'job needs', 'jobs need')} a person: sent, and the answer was lost"
        to_do = "Open each job: its page says what to check. Then settle it there, or by `gaugepost settle`."
        yield Problem("warn", region, text, to_do, f"/jobs?state=unknown&region={region}", "See the jobs")
    if snapshot.oldest_since is not None and snapshot.at - snapshot.oldest_since > LATE_MS:
        text = f"A job has been queued since {clock(snapshot.oldest_since, seconds=False)}"
        yield Problem("warn", region, text, "More workers, or more CONCURRENCY, empty the queue faster.")
    if number := summary["dead"]:
        verdicts = sorted(summary["dead_by_verdict"].items(), key=lambda item: -item[1])
        each = [f"{in_words(verdict)} {count:,}" for verdict, count in verdicts[:3]]
        causes = ", ".join(each) if len(verdicts) > 1 else "".join(in_words(verdict) for verdict, _ in verdicts)
        text = f"{counted(number, 'job is', 'jobs are')} dead: {causes}"
        to_do = "Stuck shows the causes and what helps, as `gaugepost jobs --group` does."
        yield Problem("warn", region, text, to_do, f"/stuck?region={region}", "See Stuck")


def _missing(part: Mapping[str, str], region: str, *, has_workers: bool) -> Problem:
    """Return the problem of a part of `status --json` that does not run."""
    since = part["reason"].partition(" since ")[2].partition(";")[0]
    seen = f"since {since}" if since else "yet"
    if part["part"] == "worker":
        return Problem("bad", region, f"No worker has been seen {seen}", f"Start one: `{part['command']}`")
    text = f"Beat, which keeps the schedule, has not been seen {seen}"
    to_do = f"{'Workers do its work meanwhile. ' if has_workers else ''}Start it: `{part['command']}`"
    return Problem("warn", region, text, to_do)


def _of_holds(producer: Producer, snapshot: Snapshot) -> Iterator[Problem]:
    holds = sorted(snapshot.holds.values(), key=lambda hold: (hold.scope != "", hold.since))
    for hold in islice(holds, _SHOWN_HOLDS):
        yield _of_hold(producer, hold, snapshot.region)
    if (more := len(holds) - _SHOWN_HOLDS) > 0:
        text = counted(more, "more hold")
        path = f"/holds?region={snapshot.region}"
        yield Problem("warn", snapshot.region, text, "Holds lists all, as `gaugepost holds` does.", path, "See Holds")


def _of_hold(producer: Producer, hold: Hold, region: Region) -> Problem:
    what = what_is_held(producer, hold, region) or "the region"
    until = f" until {clock(hold.until, seconds=False)}" if hold.until else ""
    text = f"{what[0].upper()}{what[1:]} is held{until}: {why_held(hold)}"
    to_do = action(hold, region) or f"Opened by {hold.by}. Lift it on the page Holds, or by `gaugepost resume`."
    return Problem("bad" if not hold.scope else "warn", region, text, to_do, "/holds", "See Holds")
