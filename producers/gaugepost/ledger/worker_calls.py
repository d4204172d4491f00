"""The calls of workers: claim, mark, settle, renew, rescue, and the ticks. They are values; nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.chunks import chunks
from gaugepost.ledger.claims import Claimed, ClaimResult, EndedLease, read_claim, read_ended_leases
from gaugepost.ledger.notices import Notice, read_notices
from gaugepost.ledger.presence import NO_BEAT_MS
from gaugepost.ledger.scripts import Argument, Call

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gaugepost.encryption import Cipher
    from gaugepost.keys import Keys
    from gaugepost.ledger.settlements import Settlement
    from gaugepost.ledger.unreadable import UnreadableJob

DUE_A_SECOND = 2_000
DUE_AT_ONCE = 250
RELEASED_A_SECOND = 200
HOLDS_AT_ONCE = 250
SWEPT_AT_ONCE = 500
SLOT_SLACK_MS = 1_000


def slot_ms(interval_s: float) -> int:
    """Return the time between two upload slots in ms: the interval and SLOT_SLACK_MS, but at most a tenth more.

    CustomerGauge measures from arrival to arrival, and one upload may take longer to arrive than the next.
    """
    interval = interval_s * 1000
    return int(interval + min(SLOT_SLACK_MS, interval / 10))


@dataclass(frozen=True, slots=True)
class BeatStatus:
    """The answer to a worker's report that it lives.

    `beat_ago`: seconds since beat ticked (None: never). `ticks`: names of the ticks that this worker must run itself.
    """

    beat_ago: float | None
    ticks: tuple[str, ...]


class WorkerCalls:
    """Make the calls of a worker for one region."""

    def __init__(self, keys: Keys, lease_ms: int, slot_ms: int, lanes: Sequence[str], cipher: Cipher) -> None:
        self.keys = keys
        self._lease_ms = lease_ms
        self._slot_ms = slot_ms
        self._lanes = lanes
        self._cipher = cipher
        self._queues = (self.keys.prefix, self.keys.queue, self.keys.urgent_queue)

    def claim(self, worker: str, token: str, limit: int, concurrency: int, *, urgent_only: bool) -> Call[ClaimResult]:
        """Claim up to `limit` jobs. `token`: a random name of this claim, which becomes the `holder` of its jobs.

        A repeated call with the same token returns the same jobs.
        """
        args: list[Argument] = [worker, token, limit, self._lease_ms, self._slot_ms, concurrency]
        args += ["1" if urgent_only else "", *self._lanes]
        return Call("claim", self._queues, args, lambda answer: read_claim(answer, self._cipher, token))

    def settle(self, settlements: Sequence[Settlement], *, rescue: bool = False) -> Iterator[Call[list[bool]]]:
        """Record the outcomes of claimed jobs. Return False for a job that this worker has lost."""
        for some in chunks((settlement.to_json(self._cipher) for settlement in settlements), len):
            args = ["1" if rescue else "", *some]
            yield Call("settle", self._queues, args, lambda answer: [bool(one) for one in answer])

    def mark(self, claimed: Claimed) -> Call[tuple[int, int]]:
        """Write the sending mark of a job; a file also takes the upload slot.

        Return (1, 0), or (0, ms until the slot opens), or (-1, 0) if the lease is lost.
        """
        slot: Argument = self._slot_ms if claimed.job.kind == "file" else ""
        args: list[Argument] = [claimed.id, claimed.fence, claimed.holder, slot]
        return Call("mark", self._queues[:1], args, lambda answer: (int(answer[0]), int(answer[1])))

    def renew(self, jobs: Sequence[Claimed]) -> Call[list[bool]]:
        """Renew leases. Return False for a job that this worker has lost."""
        args: list[Argument] = [self._lease_ms]
        for claimed in jobs:
            args += (claimed.id, claimed.fence, claimed.holder)
        return Call("renew", self._queues[:1], args, lambda answer: [bool(one) for one in answer])

    def set_aside(self, jobs: Sequence[UnreadableJob], at: int, *, rescue: bool = False) -> Call[list[bool]]:
        """Settle claimed jobs that cannot be parsed as dead or unknown."""
        args = ["1" if rescue else "", *(one.to_json(at) for one in jobs)]
        return Call("settle", self._queues, args, lambda answer: [bool(one) for one in answer])

    def ended_leases(self, limit: int) -> Call[tuple[int, list[EndedLease], tuple[UnreadableJob, ...]]]:
        """List the jobs whose lease has ended, and those of them that cannot be parsed.

        The first value is the number of leases that were extended, because Redis' clock jumped over their ends.
        """
        args: list[Argument] = [limit, self._lease_ms]
        return Call("ended_leases", self._queues[:1], args, lambda answer: read_ended_leases(answer, self._cipher))

    def promote(self, credentials: Mapping[str, str]) -> Call[tuple[int, bool, tuple[Notice, ...]]]:
        """Release due jobs, at a rate that Redis' clock limits.

        Return their number, whether more can be released now, and notices for the caller's log.
        `credentials`: need → fingerprint of the caller's credential; a hold for another one is lifted.
        """
        args: list[Argument] = [DUE_A_SECOND, RELEASED_A_SECOND, self._lease_ms, DUE_AT_ONCE, HOLDS_AT_ONCE]
        args += [part for credential in credentials.items() for part in credential]
        return Call("promote", self._queues, args, _read_promoted)

    def alive(self, worker: str, up_ms: int, pushed: Argument, ticks: Mapping[str, float]) -> Call[BeatStatus]:
        """Report that a worker lives; get the ticks that it must run itself.

        `up_ms`: ms since it started. `pushed`: when beat pushed the newest tick that the worker took, Unix ms; or
        `now`; or empty. `ticks`: name → seconds between two.
        """
        args: list[Argument] = [worker, up_ms, pushed, NO_BEAT_MS]
        for tick, every_s in ticks.items():
            args += (tick, int(every_s * 1000))
        return Call("alive", self._queues[:1], args, _read_alive)

    def leave(self, worker: str) -> Call[bool]:
        """Report that a worker has ended."""
        return Call("leave", self._queues[:1], [worker], bool)

    def open_slot(self) -> Call[bool]:
        """Push a bell for the next file if the upload slot is open."""
        return Call("open_slot", self._queues, [self._slot_ms, *self._lanes], bool)

    def sweep(self, retention_ms: dict[str, int], content_ms: int) -> Call[int]:
        """Delete a bounded number of ended jobs and sent contents whose retention is over; return how many jobs.

        `retention_ms`: state → ms.
        """
        args: list[Argument] = [SWEPT_AT_ONCE, content_ms]
        for state, retention in retention_ms.items():
            args += (state, retention)
        return Call("sweep", self._queues[:1], args, int)


def _read_alive(answer: Sequence[Any]) -> BeatStatus:
    beat_ms, *ticks = answer
    return BeatStatus(None if beat_ms < 0 else beat_ms / 1000, tuple(tick.decode() for tick in ticks))


def _read_promoted(answer: Sequence[Any]) -> tuple[int, bool, tuple[Notice, ...]]:
    released, more, notices = answer
    return int(released), bool(more), read_notices(notices)
