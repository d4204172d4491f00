"""Start an operation for `replay`, `cancel` or `settle` by filter, and follow it to its end.

Workers carry the operation out, so it goes on when this command is interrupted or killed. The command only reads its
row.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gaugepost.errors import StoreError
from gaugepost.ledger.operations import Action, OperationState, new_operation_id
from gaugepost_ops.cli.common import Exit, note, write_row
from gaugepost_ops.cli.missing_workers import MissingWorkers
from gaugepost_ops.cli.output.formatting import printable
from gaugepost_ops.cli.output.progress import bar

if TYPE_CHECKING:
    from gaugepost.ledger import Ledger
    from gaugepost.ledger.edits import Edits
    from gaugepost.ledger.job_filter import JobFilter
    from gaugepost.ledger.operations import Operation
    from gaugepost.states import JobState
    from gaugepost_ops.cli.audited import Recording

_WORDS = {
    Action.REPLAY: ("replaying", "replayed"),
    Action.CANCEL: ("cancelling", "cancelled"),
    Action.SETTLE: ("settling", "settled"),
}
_WORTH_A_BAR = 1_000
_READ_EVERY = 0.2
_SILENT = 30.0
"""Seconds without progress after which the command says so."""
_POSSIBLE_CAUSES = (
    "possible causes: no worker of this version runs; the workers have another GAUGEPOST_DATA_KEY; "
    "an earlier operation still collects its jobs (`gaugepost operations` lists them)"
)


@dataclass(frozen=True, slots=True)
class Order:
    """What to do with the jobs of a filter. `rate`: jobs a second; `limit`: only the oldest; `to`: for `settle`."""

    action: Action
    by: str
    reason: str
    rate: int | None = None
    limit: int | None = None
    to: JobState | None = None
    edits: Edits | None = None


def carry_out(
    ledger: Ledger, job_filter: JobFilter, order: Order, audit: Recording, *, detach: bool, as_json: bool
) -> Exit:
    """Start an operation, follow it to its end unless `detach`, and record it.

    Return FAILED if jobs were skipped, if the operation was aborted, or if no worker can begin it.
    """
    operation_id = new_operation_id()
    audit.name(f"operation={operation_id}")
    audit.begin(ledger.region)
    started = ledger.operations.start(
        order.action,
        job_filter,
        by=order.by,
        reason=order.reason,
        rate=order.rate,
        limit=order.limit,
        to=order.to,
        edits=order.edits,
        operation_id=operation_id,
    )
    missing_workers = MissingWorkers()
    missing_workers.add(ledger.region, no_worker := ledger.presence().no_worker())
    missing_workers.note()
    if detach:
        _print(started, as_json=as_json)
        return audit.ended(Exit.DONE)
    if no_worker:
        note(f"{operation_id} is stored, and begins when a worker runs: {_how_to_follow(operation_id)}")
        if as_json:
            _print(started, as_json=True)
        return audit.ended(Exit.FAILED)
    return audit.ended(_follow(_Follower(ledger, started), audit, as_json=as_json))


def _how_to_follow(operation_id: str) -> str:
    return f"`gaugepost operations show {operation_id}` shows it, `operations abort {operation_id}` ends it"


def _follow(follower: _Follower, audit: Recording, *, as_json: bool) -> Exit:
    """Show the progress until the operation has ended. After Ctrl-C or an error of Redis, say that it goes on."""
    try:
        _show_progress(follower)
    except (KeyboardInterrupt, StoreError):
        if not follower.row.has_ended:
            note(f"{follower.row.id} goes on without this command: {_how_to_follow(follower.row.id)}")
        raise
    finally:
        audit.count(follower.region, follower.row.done)
    ended = follower.row
    if as_json:
        _print(ended, as_json=True)
    else:
        _print_sums(ended)
    if ended.state is OperationState.ABORTED:
        note(f"{ended.id} was aborted: the other jobs stay as they are")
        return Exit.FAILED
    return Exit.FAILED if ended.skipped else Exit.DONE


def _show_progress(follower: _Follower) -> None:
    while follower.row.is_collecting:
        follower.read()
    row, shown = follower.row, 0
    with bar(_WORDS[Action(row.action)][0], row.matched, worth=row.rate or _WORTH_A_BAR) as advance:
        while True:
            advance(follower.row.progress - shown)
            shown = follower.row.progress
            if follower.row.has_ended:
                return
            follower.read()


def _print(operation: Operation, *, as_json: bool) -> None:
    """Print the row of an operation as JSON, or its id."""
    if as_json:
        write_row(operation.to_dict())
    else:
        sys.stdout.write(f"{operation.id}\n")
    sys.stdout.flush()


def _print_sums(operation: Operation) -> None:
    done = _WORDS[Action(operation.action)][1]
    sys.stdout.write(f"{operation.done:,} {done}\n")
    for why, number in operation.skipped.items():
        sys.stdout.write(f"{number:,} not {done}: {printable(why)}\n")
    sys.stdout.flush()


class _Follower:
    """Reads the row of an operation again and again, and says once why it does not go on."""

    def __init__(self, ledger: Ledger, row: Operation) -> None:
        self.region = ledger.region
        self.row = row
        self._ledger = ledger
        self._moved_at = time.monotonic()
        self._said: set[str] = set()

    def read(self) -> None:
        """Wait a moment, and read the row."""
        time.sleep(_READ_EVERY)
        found = self._ledger.operations.show(self.row.id)
        if found is not None and found != self.row:
            self.row, self._moved_at = found, time.monotonic()
        if self.row.state is OperationState.PAUSED:
            self._say(f"{self.row.id} is paused: `gaugepost operations resume {self.row.id}` lets it go on")
        elif not self.row.has_ended and time.monotonic() - self._moved_at > _SILENT:
            self._moved_at = time.monotonic()
            why = self._ledger.presence().no_worker() or _POSSIBLE_CAUSES
            self._say(f"{self.row.id} has not gone on for {_SILENT:.0f} seconds: {why}")

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            note(text)
