"""`gaugepost audit`: list who did what, newest first, from the trails of all regions."""

from __future__ import annotations

import heapq
import sys
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.ledger.audit import UNFINISHED, Outcome, Via
from gaugepost.regions import Region  # noqa: TC001 - typer reads it at run time
from gaugepost_ops.cli.common import AsJson, RegionLedgers, console, given_time, note, open_producer, write_row
from gaugepost_ops.cli.output.formatting import clock, printable
from gaugepost_ops.cli.output.text_layout import print_hanging

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gaugepost.ledger import Ledger
    from gaugepost.ledger.audit import AuditEntry

_LOOKED_AT = 20_000
"""How many entries a call looks at, unless it has --all."""
_STYLES = {Outcome.DENIED: "red", Outcome.FAILED: "yellow"}


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """The conditions that an entry must meet. None: any value matches."""

    actor: str | None
    action: str | None
    job: str | None

    def matches(self, entry: AuditEntry) -> bool:
        """Return whether an entry meets all conditions. An actor matches by its whole name, or by the part before @."""
        return (
            (self.actor is None or self.actor in {entry.actor, entry.actor.partition("@")[0]})
            and (self.action is None or self.action == entry.action)
            and (self.job is None or self.job in entry.target.split())
        )

    def __bool__(self) -> bool:
        return any((self.actor, self.action, self.job))


def audit(  # noqa: PLR0913 - an option each
    since: Annotated[
        str | None, typer.Option(help="Not before: 2026-11-22T18:00+01:00, or 2h, 3d ago.", metavar="T")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Not after: the same.", metavar="T")] = None,
    actor: Annotated[str | None, typer.Option(help="Only of this person: user@host, or user.", metavar="A")] = None,
    action: Annotated[str | None, typer.Option(help="Only this command, such as `uploads undo`.", metavar="X")] = None,
    region: Annotated[Region | None, typer.Option(help="Only this region's.")] = None,
    job: Annotated[str | None, typer.Option(help="Only entries that name this job or upload.", metavar="ID")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many entries.", metavar="N")] = 50,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Look at all entries, not only at 20,000.")] = False,
    as_json: AsJson = False,
) -> None:
    """List who did what: each command that changed something or showed personal data, newest first.

    An entry has the actor, the command, the region, the jobs or the filter, how many jobs, the reason and the outcome:
    done, denied or failed. It names at most 20 jobs; `gaugepost job ID` shows every change of one job.

    Example: `gaugepost audit --since 2d --action replay`
    """
    start, end = _ms(given_time("--since", since)), _ms(given_time("--until", until))
    wanted = AuditFilter(actor, action, job)
    with open_producer() as producer:
        regions = RegionLedgers(producer, region)
        looking = Search(_newest_first(regions, start, end), None if everything or not wanted else _LOOKED_AT)
        number = _print_all(islice(filter(wanted.matches, looking), limit), as_json=as_json)
        if number == limit and next(looking, None) is not None:
            note(f"these are the newest {limit:,} entries; for more use --limit")
        elif looking.was_cut:
            note(f"looked at {looking.number:,} of {_total(regions):,}; --all goes on")
        regions.require_all_reached()
    if not number:
        note("no entries")
    elif job is not None:
        note(f"an entry names at most 20 jobs: `gaugepost job {job}` shows every change of this one")


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


class Search:
    """Yields entries, and counts them. `limit`: how many at most; None: all."""

    def __init__(self, entries: Iterator[AuditEntry], limit: int | None) -> None:
        self._entries = entries
        self._limit = limit
        self.number = 0
        self.was_cut = False
        """Whether there were more entries than the limit."""

    def __iter__(self) -> Iterator[AuditEntry]:
        return self

    def __next__(self) -> AuditEntry:
        entry = next(self._entries)
        if self.number == self._limit:
            self.was_cut = True
            raise StopIteration
        self.number += 1
        return entry


def _newest_first(regions: RegionLedgers, since: int | None, until: int | None) -> Iterator[AuditEntry]:
    """Merge the trails of the regions by time."""
    trails = [_entries(regions, ledger, since, until) for ledger in regions.ledgers()]
    return heapq.merge(*trails, key=lambda entry: entry.at, reverse=True)


def _entries(regions: RegionLedgers, ledger: Ledger, since: int | None, until: int | None) -> Iterator[AuditEntry]:
    with regions.skip_unreachable(ledger.region):
        yield from ledger.audit.entries(since=since, until=until)


def _total(regions: RegionLedgers) -> int:
    total = 0
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            total += ledger.audit.size()
    return total


def _print_all(entries: Iterable[AuditEntry], *, as_json: bool) -> int:
    """Print entries. Return their number."""
    number = 0
    for entry in entries:
        number += 1
        if as_json:
            write_row(entry.to_dict())
        else:
            _print(entry)
    sys.stdout.flush()
    return number


def _print(entry: AuditEntry) -> None:
    """Print an entry for people: time, actor, command and region, outcome, target, reason."""
    from rich.text import Text  # noqa: PLC0415 - --json does without rich

    actor = entry.actor if entry.via == Via.CLI else f"{entry.actor} ({entry.via})"
    command = f"{entry.action} {entry.region}" if entry.region else entry.action
    facts = (actor, command, _outcome(entry), entry.target, f'"{entry.reason}"' if entry.reason else "")
    head = Text(f"{clock(entry.at)}  ", "dim")
    print_hanging(
        console(),
        head,
        printable("  ".join(filter(None, facts))),
        at=head.cell_len,
        style=_STYLES.get(entry.outcome, ""),
    )


def _outcome(entry: AuditEntry) -> str:
    """Return the outcome in words: `12 done`, `failed: refused`, `unfinished`."""
    if entry.outcome == Outcome.DONE:
        return f"{entry.count:,} done"
    before = f", {entry.count:,} done before" if entry.count else ""
    return UNFINISHED if entry.error == UNFINISHED else f"{entry.outcome}: {entry.error}{before}"
