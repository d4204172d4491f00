"""Groups of jobs that are stuck for the same reason, each with the command that helps: `gaugepost jobs --group`.

10,000 dead jobs usually have only a few reasons. Jobs are counted one by one as they are read, so memory grows with the
number of groups and not with the number of jobs.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.holds import iso
from gaugepost.ledger.job_filter import faulty_fields
from gaugepost.ledger.presence import start_worker
from gaugepost.states import JobState
from gaugepost.verdict import Verdict
from gaugepost_ops.cli.aliases import alias, aliased
from gaugepost_ops.cli.common import console, note, write_rows
from gaugepost_ops.cli.output.formatting import clock, printable
from gaugepost_ops.cli.output.text_layout import fold_command, print_hanging, terminal_width

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gaugepost.client import Producer
    from gaugepost.ledger import JobView
    from gaugepost.regions import Region

SCHEDULED = "scheduled"
"""The reason of a parked job that waits for its deliver_at."""
PROCESSING = "processing"
"""The reason of a parked file that CustomerGauge processes."""

STUCK = (JobState.DEAD, JobState.UNKNOWN, JobState.PARKED)
"""The states in which a job may need a person."""


_MAX_GROUPS = 1_000
_EXAMPLES = 5
_SENT_AGAIN = (
    "Sent again automatically. Dead after the last try: correct the cause before that. The command sends it now."
)
_REACHED_AGAIN = "Sent again automatically, until CustomerGauge can be reached. The command sends it now."
_LOOKED_UP = (
    "Nothing to do: a worker reads CustomerGauge's upload statistics until the file is processed. "
    "The command makes it read them now."
)
_INSPECT_FIRST = "first look whether CustomerGauge has the job, then settle the group as what you found:"
_INDENT, _NARROW, _NARROW_INDENT = 11, 60, 2


def is_stuck(view: JobView) -> bool:
    """Return whether a job may need a person. A queued job may, too: if no worker runs, or a hold stops it."""
    if view.reason == SCHEDULED:
        return view.late is not None
    return view.state in STUCK or view.no_worker is not None or view.hold is not None


@dataclass(frozen=True, slots=True)
class Fault:
    """What the jobs of one group have in common: where they are, and why they are stuck."""

    region: Region
    state: JobState
    kind: str
    verdict: str | None
    reason: str | None
    scope: str | None
    configuration: str | None
    fields: tuple[str, ...]
    no_worker: bool = False
    meaning: str = field(compare=False, default="")
    to_do: str = field(compare=False, default="")

    @classmethod
    def of(cls, view: JobView) -> Fault:
        """Return the fault of a job. If a hold stops the job, its fault is the hold, whatever its attempts showed."""
        scope = view.hold.scope if view.hold else None
        verdict, fields = (None, ()) if scope is not None else (view.last_verdict, faulty_fields(view))
        reason = "; ".join(dict.fromkeys(filter(None, (view.reason, view.no_worker)))) or None
        common = (reason, scope, view.job.get("configuration"), fields, view.no_worker is not None)
        return cls(view.region, view.state, view.kind, verdict, *common, view.meaning, view.to_do or _by_itself(view))

    def inspect_command(self, example: str) -> str | None:
        """Return the command that shows an example; only for unknown jobs, which a person must look up first."""
        return shlex.join(["gaugepost", "job", example]) if self.state is JobState.UNKNOWN else None

    def command(self) -> str | None:
        """Return the command for these jobs, to be run once the cause is fixed, or a person has looked them up."""
        if self.no_worker:
            return start_worker(self.region)
        match self.state:
            case _ if self.scope is not None:
                parts = ["resume", self.region, *scope_options(self.scope)]
            case JobState.PARKED if self.reason == SCHEDULED:
                return None
            case JobState.DEAD | JobState.PARKED:
                parts = ["replay", "--state", self.state, "--region", self.region, *self._options()]
            case JobState.UNKNOWN:
                # `settle` refuses this text, on purpose: a person must first find out which of the two is true.
                end = ["--as", "DELIVERED-OR-DEAD"]
                parts = ["settle", "--state", self.state, "--region", self.region, *self._options(), *end]
            case _:
                return None
        return shlex.join(["gaugepost", *parts])

    def _options(self) -> list[str]:
        given = {"--kind": self.kind, "--verdict": self.verdict, "--configuration": self.configuration}
        options = [part for name, value in given.items() if value for part in (name, value)]
        return options + [part for name in self.fields for part in ("--field", name)]


def _by_itself(view: JobView) -> str:
    """Return what workers do about a parked job without a person; empty if a person may have to help."""
    if view.state is not JobState.PARKED or view.late or view.hold:
        return ""
    if view.reason == PROCESSING:
        return _LOOKED_UP
    if view.reason != view.last_verdict:
        return ""
    return _REACHED_AGAIN if view.last_verdict == Verdict.UNREACHABLE else _SENT_AGAIN  # it never dies of that


def scope_options(scope: str) -> list[str]:
    """Return a hold's scope as options of `gaugepost hold` and `resume`; empty for a whole region."""
    sort, _, name = scope.partition(":")
    return [f"--{sort}", name] if scope else []


@dataclass(slots=True)
class Group:
    """The number of jobs with one fault, the time (Unix ms) and the id of the newest of them, and the first ids."""

    count: int = 0
    newest: int = 0
    example: str = ""
    examples: list[str] = field(default_factory=list)

    def add(self, view: JobView) -> None:
        """Count a job."""
        self.count += 1
        at = view.ended_at or view.enqueued_at
        if at >= self.newest:
            self.newest, self.example = at, view.id
        if len(self.examples) < _EXAMPLES:
            self.examples.append(view.id)


@dataclass(slots=True)
class Groups:
    """The groups by their fault."""

    found: dict[Fault, Group] = field(default_factory=dict)

    def add(self, view: JobView) -> None:
        """Count a job. When there are too many groups, new ones omit configuration, fields and scope."""
        fault = Fault.of(view)
        if fault not in self.found and len(self.found) >= _MAX_GROUPS:
            fault = replace(fault, configuration=None, fields=(), scope=None)
        self.found.setdefault(fault, Group()).add(view)

    @property
    def total(self) -> int:
        """Return the number of jobs in all groups."""
        return sum(group.count for group in self.found.values())

    def largest_first(self) -> list[tuple[Fault, Group]]:
        """Return the groups, the one with the most jobs first."""
        return sorted(self.found.items(), key=lambda pair: (-pair[1].count, -pair[1].newest))


def to_dict(fault: Fault, group: Group) -> dict[str, Any]:
    """Return the JSON object of `jobs --group --json` and `replay --dry-run --json`."""
    return {
        "region": str(fault.region),
        "state": str(fault.state),
        "kind": fault.kind,
        "verdict": fault.verdict,
        "reason": fault.reason,
        "meaning": fault.meaning or None,
        "configuration": fault.configuration,
        "fields": list(fault.fields),
        "count": group.count,
        "newest": iso(group.newest),
        "example": group.example,
        "look": fault.inspect_command(group.example),
        "to_do": fault.to_do or None,
        "command": fault.command(),
    }


def print_groups(groups: Sequence[tuple[Fault, Group]], producer: Producer, *, advise: bool = True) -> None:
    """Print each group: the number of jobs, where and why they are stuck, an example.

    `advise`: print what to do, too, and the command to copy; else five examples, the oldest jobs.
    """
    from rich.text import Text  # noqa: PLC0415 - --json does without rich

    out = console()
    width = terminal_width(out)
    indent = _INDENT if width is None or width >= _NARROW else _NARROW_INDENT
    for fault, group in groups:
        cause = f": {fault.reason or fault.verdict}" if fault.reason or fault.verdict else ""
        cause += f" ({fault.meaning})" if fault.meaning else ""
        of_fields = f" ({', '.join(fault.fields)})" if fault.fields else ""
        number = f"{group.count:,}".rjust(indent - 2)
        headline = f"{fault.region}  {fault.kind}  {fault.state}{cause}{of_fields}"
        print_hanging(out, Text(number, "bold"), printable(headline), at=max(indent, len(number) + 2), style="bold")
        mapping = alias(producer, fault.configuration, fault.region) or fault.configuration
        of_mapping = f"configuration {mapping}, " if mapping else ""
        print_hanging(out, Text(), printable(f"{of_mapping}newest {clock(group.newest)}: {group.example}"), at=indent)
        if not advise:
            print_hanging(out, Text(), printable(f"first: {' '.join(group.examples)}"), at=indent)
            continue
        if fault.to_do:
            print_hanging(out, Text(), printable(fault.to_do), at=indent, style="dim")
        if inspect := fault.inspect_command(group.example):
            print_hanging(out, Text(), _INSPECT_FIRST, at=indent, style="dim")
            out.print(fold_command(printable(inspect), width, indent=indent), style="dim", soft_wrap=True)
        if command := fault.command():
            out.print(fold_command(printable(command), width, indent=indent), style="dim", soft_wrap=True)


def dry_run_rows(views: Iterable[JobView]) -> list[dict[str, Any]]:
    """Return the rows of `--dry-run --json`."""
    return list(_rows_with_examples(_grouped(views)))


def _grouped(views: Iterable[JobView]) -> Groups:
    groups = Groups()
    for view in views:
        groups.add(view)
    return groups


def _rows_with_examples(groups: Groups) -> Iterator[dict[str, Any]]:
    for fault, group in groups.largest_first():
        yield to_dict(fault, group) | {"examples": group.examples}


def show_dry_run(views: Iterable[JobView], producer: Producer, what: str, *, as_json: bool) -> None:
    """Print the jobs that a command would change, by groups, and their number on stderr: `12 would be replayed`."""
    groups = _grouped(views)
    if as_json:
        write_rows(aliased(row, producer) for row in _rows_with_examples(groups))
    else:
        print_groups(groups.largest_first(), producer, advise=False)  # the caller has a command: the one it runs
        sys.stdout.flush()
    note(f"dry run: {groups.total:,} would be {what}")


def show_groups(found: Iterator[JobView], limit: int, producer: Producer, *, as_json: bool) -> int:
    """Group these jobs and print the largest groups, at most `limit`. Return the number of jobs."""
    groups = _grouped(found)
    shown = groups.largest_first()[:limit]
    if as_json:
        write_rows(aliased(to_dict(*pair), producer) for pair in shown)
    else:
        print_groups(shown, producer)
    if len(groups.found) > limit:
        note(f"these are the {limit:,} largest groups of {len(groups.found):,}; for more use --limit")
    return groups.total
