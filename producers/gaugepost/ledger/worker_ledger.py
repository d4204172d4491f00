"""`WorkerLedger`: the calls of workers, in addition to those of services and operators."""

from __future__ import annotations

from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from gaugepost.errors import StoreFull
from gaugepost.ledger.credentials import (
    SharedToken,
    drop_token,
    note_credential,
    put_token,
    put_token_failure,
    token,
)
from gaugepost.ledger.indexing import index_arrivals, index_older_jobs
from gaugepost.ledger.ledger import Ledger, now_ms
from gaugepost.ledger.migrations import migrate
from gaugepost.ledger.operation_runner import OperationRunner
from gaugepost.ledger.region_history import record_minutes
from gaugepost.ledger.scripts import our_errors
from gaugepost.ledger.webhook_outbox import WebhookOutbox
from gaugepost.ledger.worker_calls import SWEPT_AT_ONCE, BeatStatus, WorkerCalls, slot_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import redis

    from gaugepost.ledger.claims import Claimed, ClaimResult, EndedLease
    from gaugepost.ledger.notices import Notice
    from gaugepost.ledger.settlements import Settlement
    from gaugepost.regions import Region
    from gaugepost.settings import Settings
    from gaugepost.transitions import HoldSpec

_SWEEPS = 200  # one tick a minute can delete more jobs than a region delivers at 1,000 a second


class WorkerLedger(Ledger):
    """One region of the ledger, for its workers: claims, leases, settlements, tokens and ticks. Thread-safe."""

    def __init__(
        self, client: redis.Redis, region: Region, settings: Settings, *, timeout: float | None = None
    ) -> None:
        super().__init__(client, region, settings, timeout=timeout)
        self._worker_calls = WorkerCalls(
            self.producer_calls.keys,
            int(settings.lease * 1000),
            slot_ms(settings.upload_interval),
            settings.upload_lanes(),
            self._cipher,
        )
        self.operation_runner = OperationRunner(self, self._run, self._listing)
        self.webhook_outbox = WebhookOutbox(self._run, self.producer_calls.keys)

    # Claims and leases

    def claim(
        self, worker: str, token: str, limit: int, concurrency: int = 16, *, urgent_only: bool = False
    ) -> ClaimResult:
        """Claim up to `limit` jobs under leases. `concurrency`: how many jobs this worker sends at a time."""
        result = self._run(self._worker_calls.claim(worker, token, limit, concurrency, urgent_only=urgent_only))
        if result.unreadable:
            self._run(self._worker_calls.set_aside(result.unreadable, now_ms()))
        return result

    def mark(self, claimed: Claimed) -> tuple[int, int]:
        """Write the sending mark just before the first byte.

        Return (1, 0), or (0, ms until the upload slot opens), or (-1, 0) if the lease is lost.
        """
        return self._run(self._worker_calls.mark(claimed))

    def settle(self, settlements: Sequence[Settlement], *, rescue: bool = False) -> list[bool]:
        """Record the outcomes of claimed jobs. Return False for a job that this worker has lost."""
        return self._run.each(self._worker_calls.settle(settlements, rescue=rescue))

    def renew(self, jobs: Sequence[Claimed]) -> list[bool]:
        """Renew leases. Return False for a job that this worker has lost."""
        return self._run(self._worker_calls.renew(jobs))

    def ended_leases(self, limit: int = 200) -> list[EndedLease]:
        """Return jobs whose lease has ended. Set aside those that cannot be parsed."""
        extended, ended, unreadable = self._run(self._worker_calls.ended_leases(limit))
        while extended and not ended and not unreadable:
            extended, ended, unreadable = self._run(self._worker_calls.ended_leases(limit))
        if unreadable:
            self._run(self._worker_calls.set_aside(unreadable, now_ms(), rescue=True))
        return ended

    def is_warm(self, configuration: str) -> bool:
        """Return whether a job of this configuration was delivered within the last hour."""
        with our_errors():
            return bool(self._client.exists(self.keys.of("warm:", configuration)))

    # Credentials

    def token(self, who: str, lock_ms: int, fingerprint: str = "") -> SharedToken:
        """Read the shared access token, or take the lock to fetch one. A repeated call of the owner extends the lock.

        `fingerprint`: that of the caller's credential; a token of another credential is not returned.
        """
        return self._run(token(self.producer_calls.keys, who, lock_ms, fingerprint))

    def put_token(self, who: str, sealed: bytes, life_ms: int, refresh_ms: int, fingerprint: str = "") -> int:
        """Store a fetched token. Return its generation; 0 if the lock was lost or another credential's token lasts."""
        return self._run(put_token(self.producer_calls.keys, who, sealed, life_ms, refresh_ms, fingerprint))

    def put_token_failure(self, who: str, failure: str, hold: HoldSpec, fingerprint: str = "") -> None:
        """Record that a fetch failed, and open a hold; if it is open, schedule its next probe."""
        self._run(put_token_failure(self.producer_calls.keys, who, failure, hold, fingerprint))

    def drop_token(self, generation: int) -> bool:
        """Delete a refused token, unless a newer one is stored."""
        return self._run(drop_token(self.producer_calls.keys, generation))

    def note_credential(self, need: str, fingerprint: str, answer: Literal["accepted", "refused", ""]) -> bool:
        """Record the last answer for a credential. Return whether it is refused while another one is accepted."""
        return self._run(note_credential(self.producer_calls.keys, need, fingerprint, answer))

    # Ticks, and the start and end of a worker

    def migrate(self) -> int:
        """Migrate what older versions wrote; return the number of migrated jobs. Raises LedgerClosed."""
        moved = 0
        while step := self._run(migrate(self.producer_calls.keys)):
            moved += step
        return moved

    def index(self) -> int:
        """Bring some arrivals and some jobs of older versions into the index of `find`; return the number of jobs.

        A full Redis indexes none: then `find` says how many are missing.
        """
        keys, done = self.producer_calls.keys, 0
        with suppress(StoreFull):
            done += index_arrivals(keys, self._run)
            done += index_older_jobs(keys, self._cipher, self._run)
        return done

    def promote(
        self,
        credentials: Mapping[str, str] = MappingProxyType({}),
        log: Callable[[Notice], object] = lambda _: None,
    ) -> int:
        """Release due jobs in short scripts, at a rate that Redis' clock limits; return their number.

        `credentials`: need → fingerprint of the caller's credential; a hold for another one is lifted. `log`: called
        with each change of a hold since the last call, and with each job that died because of one.
        """
        released, more = 0, True
        while more:
            some, more, notices = self._run(self._worker_calls.promote(credentials))
            released += some
            for notice in notices:
                log(notice)
        return released

    def alive(self, worker: str, up_s: float, pushed: int | str, ticks: Mapping[str, float]) -> BeatStatus:
        """Report that a worker lives. Return the time since beat ticked, and the ticks that the worker must run itself.

        `up_s`: seconds since it started. `pushed`: when beat pushed the newest tick that the worker took, Unix ms; or
        `now`; or empty, if it took none. `ticks`: name → seconds between two.
        """
        return self._run(self._worker_calls.alive(worker, int(up_s * 1000), pushed, ticks))

    def leave(self, worker: str) -> None:
        """Report that a worker has ended, so that it counts as missing at once."""
        self._run(self._worker_calls.leave(worker))

    def open_slot(self) -> bool:
        """Push a bell for the next file if the upload slot is open."""
        return self._run(self._worker_calls.open_slot())

    def sweep(self) -> int:
        """Delete a bounded number of ended jobs whose retention is over; return their number. Record the history."""
        delivered = int(self._settings.retention_delivered * 1000)
        dead = int(self._settings.retention_dead * 1000)
        retention = {"delivered": delivered, "cancelled": delivered, "expired": delivered, "dead": dead}
        contents = int(self._settings.retention_content * 1000)
        deleted = 0
        for _ in range(_SWEEPS):
            swept = self._run(self._worker_calls.sweep(retention, contents))
            deleted += swept
            if swept < SWEPT_AT_ONCE:
                break
        record_minutes(self._run, self.producer_calls.keys)
        return deleted
