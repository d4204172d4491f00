"""Record commands in the audit trail: those that change something, and those that show personal data.

A command gets one entry in each region that it touches. The entry is written before the first change, as `unfinished`,
and replaced at the end: a command that cannot be recorded changes nothing, and one that is killed is in the trail. A
refused command that touched no region gets one entry, too.

To record a new command: add its row to RECORDED; open its producer by `audited_producer`; call `begin` with the region
before the first change, and `count` after each. Use `name` for a target that is known only then, `ended` for an exit
code other than 0. tests/architecture/test_audit.py fails for a command without a row in RECORDED or NOT_RECORDED.
"""

from __future__ import annotations

import getpass
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import typer

from gaugepost.connection import connect
from gaugepost.errors import NotPermitted, SettingsError, StoreError, StoreUnreachable
from gaugepost.ledger import Ledger
from gaugepost.ledger.audit import UNFINISHED, AuditEntry, Outcome
from gaugepost_ops.cli.common import Exit, Failure, note, open_producer, operator_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gaugepost.client import Producer
    from gaugepost.ledger.audit import AuditTrail
    from gaugepost.regions import Region
    from gaugepost.settings import Settings
    from gaugepost.states import JobState

RECORDED = {
    "cancel": (
        "without `--dry-run`",
        "jobs, uploads, the filter and its operation, or the batch",
        "jobs cancelled",
    ),
    "replay": ("without `--dry-run`", "the jobs, or the filter and its operation", "jobs replayed"),
    "erase": ("when it is confirmed", "`by=email`, not the address", "jobs of the person"),
    "settle": ("without `--dry-run`", "the jobs, or the filter and its operation", "jobs settled"),
    "hold": ("always", "the scope; empty for the region", "1, if it was opened"),
    "resume": ("always", "the scope; empty for the region", "1, if it was lifted"),
    "operations pause": ("always", "the operation", "1, if it was paused"),
    "operations resume": ("always", "the operation", "1, if it was resumed"),
    "operations abort": ("always", "the operation", "1, if it was aborted"),
    "keys create": ("always", "the name of the key", "1, if it was created"),
    "keys revoke": ("always", "the name of the key", "1, if it was revoked"),
    "users add": ("always", "the name of the user", "1, if the user was added"),
    "users remove": ("always", "the name of the user", "1, if the user was removed"),
    "users password": ("always", "the name of the user", "1, if the user has a new password"),
    "users sign-out": ("always", "the name of the user", "1, if the sessions were ended"),
    "users link": ("always", "the name of the user", "1, if the link was made"),
    "webhooks add": ("always", "the endpoint", "1, if it was added"),
    "webhooks remove": ("always", "the endpoint", "1, if it was removed"),
    "webhooks rotate": ("always", "the endpoint", "1, if it has a new secret"),
    "webhooks test": ("always", "the endpoint", "1, if the event was written"),
    "webhooks retry": ("always", "the endpoint", "1, if it was enabled and its events are sent again"),
    "move": ("always", "`new Redis` or `new names`", "keys moved"),
    "upload": ("without `--dry-run`", "the upload and its file", "parts queued"),
    "uploads undo": ("always", "the upload", "parts cancelled and uploads deleted"),
    "uploads rejects": ("always: it writes rows of the file", "the upload", "rows written"),
    "job": ("with `--show-data`", "the job or upload", "1, if it was shown"),
    "jobs": ("with `--show-data`", "the filter", "jobs shown"),
}
"""Each recorded command: when it is recorded, its target, and what its count counts. docs/audit.md shows it."""

_READS = "changes nothing, and shows no personal data"
_RUNS = "runs a process, which logs what it does"
NOT_RECORDED = {
    "enqueue": "is what services do; a job's record says which service enqueued it, and when",
    **dict.fromkeys(
        (
            "audit",
            "batch",
            "batches",
            "check",
            "find",
            "health beat",
            "health region",
            "health worker",
            "holds",
            "keys list",
            "mappings",
            "operations",
            "operations show",
            "schema",
            "status",
            "uploads",
            "users list",
            "webhooks failures",
            "webhooks list",
        ),
        _READS,
    ),
    **dict.fromkeys(("beat", "demo", "exporter", "flower", "serve", "simulate", "up", "worker"), _RUNS),
}
"""Each other command, and why it is not recorded."""

_REFUSAL_TIMEOUT = 1.0
"""Seconds for the entry of a refused command: its error must not wait for a Redis that does not answer."""
_NAMED = 20
_NOT_RECORDED = "this call is not in the audit trail"

State = TypeVar("State", bound="JobState | None")


def name_jobs(ids: Iterable[str]) -> str:
    """Return a target: the ids of jobs or uploads, at most 20 of them."""
    found = list(dict.fromkeys(ids))
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    return " ".join(found[:_NAMED]) + more


def name_conditions(**conditions: object) -> str:
    """Return a target: the conditions that are set, such as `state=dead kind=record`."""
    return " ".join(f"{name}={value}" for name, value in conditions.items() if value)


def _person() -> str:
    """Return `user@host` of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container the user may have no name
        user = "command line"
    return f"{user}@{socket.gethostname()}"


@contextmanager
def audited_producer(
    action: str, region: Region | None = None, target: str = "", reason: str = "", *, unless: bool = False
) -> Iterator[tuple[Producer, Recording]]:
    """Open a producer for one call of a command, and record the call; see `audited`."""
    with (
        audited(action, region, target, reason, unless=unless) as recording,
        recording.open_producer() as producer,
    ):
        yield producer, recording


@contextmanager
def audited(
    action: str, region: Region | None = None, target: str = "", reason: str = "", *, unless: bool = False
) -> Iterator[Recording]:
    """Record one call of a command. `action`: its name in RECORDED. `unless`: this call is not to be recorded."""
    recording = Recording(AuditEntry("", action, region, target, reason=reason), is_on=not unless)
    try:
        yield recording
    except BaseException as error:
        recording.finish(*_outcome_of(error), error)
        raise
    recording.finish(*_outcome_at(recording.code, recording.changed))


def _outcome_of(error: BaseException) -> tuple[Outcome, str]:
    """Return the outcome of a command that raised this error, and the class of its refusal."""
    match error:
        case BrokenPipeError():  # the reader of the output, such as `head`, has read enough
            return Outcome.DONE, ""
        case Failure():
            return Outcome.FAILED, _class_at(error.code)
        case NotPermitted():
            return Outcome.DENIED, type(error).__name__
        case KeyboardInterrupt() | typer.Abort():
            return Outcome.FAILED, Exit.INTERRUPTED.name.lower()
        case _:
            return Outcome.FAILED, type(error).__name__


def _outcome_at(code: Exit, changed: int) -> tuple[Outcome, str]:
    """Return the outcome of a command that ends with this exit code. It is done if it changed one of its jobs."""
    if code is Exit.DONE or (code is Exit.FAILED and changed):
        return Outcome.DONE, ""
    return Outcome.FAILED, _class_at(code)


def _class_at(code: Exit) -> str:
    """Return the class of a refusal with this exit code: `refused`, `usage` or another."""
    return "refused" if code is Exit.FAILED else code.name.lower()


@dataclass(slots=True)
class Recording:
    """The entries of one call. `entry`: what they have in common. `counts`: what it changed, by region."""

    entry: AuditEntry
    is_on: bool = True
    code: Exit = Exit.DONE
    settings: Settings | None = None
    counts: dict[Region, int] = field(default_factory=dict)
    _begun: dict[Region, str] = field(default_factory=dict)
    _ledgers: dict[Region, Ledger] = field(default_factory=dict)

    @property
    def actor(self) -> str:
        """Return who runs the command: GAUGEPOST_ACTOR, else `user@host`."""
        return self._settings.actor or _person()

    @property
    def changed(self) -> int:
        """Return how many jobs the command changed in all regions."""
        return sum(self.counts.values())

    def open_producer(self) -> Producer:
        """Return a producer for the command, whose settings the entries use, too. Raises SettingsError."""
        producer = open_producer()
        self.settings = producer.settings
        return producer

    def name(self, *parts: str) -> None:
        """Add to the target what the command learns only while it runs."""
        self.entry = replace(self.entry, target=" ".join(filter(None, (self.entry.target, *parts))))

    def begin(self, region: Region, *, is_found: bool = True) -> None:
        """Record that the command begins in a region. Call it before the first change. Raises StoreError.

        `is_found`: whether the jobs are known to be in this region; else the entry is dropped unless `count` is called.
        """
        if is_found:
            self.count(region, 0)
        if self.is_on and region not in self._begun:
            entry = replace(self.entry, actor=self.actor, region=region, outcome=Outcome.FAILED, error=UNFINISHED)
            self._begun[region] = self._trail(region).write(entry)

    def count(self, region: Region, number: int = 1) -> None:
        """Count jobs of a region that the command changed or showed; 0 if it found one there that it refused."""
        self.counts[region] = self.counts.get(region, 0) + number

    def count_outcomes(self, region: Region, outcomes: Sequence[tuple[State, bool]]) -> Sequence[tuple[State, bool]]:
        """Count the changes among the outcomes of a ledger's call, and return the outcomes."""
        if any(state is not None for state, _ in outcomes):
            self.count(region, sum(done for _, done in outcomes))
        return outcomes

    def ended(self, code: Exit) -> Exit:
        """Note the exit code with which the command ends, and return it."""
        self.code = code
        return code

    def finish(self, outcome: Outcome, error: str, cause: BaseException | None = None) -> None:
        """Write how the command ended. `cause`: the error that ended it."""
        refused = cause is not None and not self._begun
        if not self.is_on or (refused and isinstance(cause, StoreUnreachable | SettingsError)):
            return
        try:
            self._write_ends(self._ends(outcome, error), timeout=_REFUSAL_TIMEOUT if refused else None)
        except (StoreError, SettingsError) as why:
            if not refused:  # else it has changed nothing, and its own error is what the person must read
                note(f"{_NOT_RECORDED}: {why}")
        finally:
            for ledger in self._ledgers.values():
                ledger.close()

    def _write_ends(self, ends: Mapping[Region, AuditEntry], timeout: float | None) -> None:
        for region, entry in ends.items():
            self._trail(region, timeout).write(entry, replaces=self._begun.pop(region, ""))
        for region, begun in self._begun.items():
            self._trail(region).drop(begun)

    def _ends(self, outcome: Outcome, error: str) -> dict[Region, AuditEntry]:
        """Return the last entry for each region that the command touched; if it touched none, one entry."""
        ended = replace(self.entry, actor=self.actor, outcome=outcome, error=error)
        if self.counts:
            return {region: replace(ended, region=region, count=number) for region, number in self.counts.items()}
        return {next(iter(self._begun), self._home()): ended}

    def _home(self) -> Region:
        """Return the region whose trail takes an entry of no region: the given one, if it is served, or the first."""
        served = self._settings.regions
        return next((region for region in served if region == self.entry.region), served[0])

    def _trail(self, region: Region, timeout: float | None = None) -> AuditTrail:
        if region not in self._ledgers:
            timeout = timeout or self._settings.store_timeout
            client = connect(self._settings, region, timeout=timeout)
            self._ledgers[region] = Ledger(client, region, self._settings, timeout=timeout)
        return self._ledgers[region].audit

    @property
    def _settings(self) -> Settings:
        if self.settings is None:
            self.settings = operator_settings()
        return self.settings
