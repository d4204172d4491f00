"""The ledger: the store of all jobs in Redis. Only the ledger's scripts change the state of a job.

`Ledger` is one region of it, on a blocking client. `AsyncProducer` runs the same calls on an asyncio client.
"""

from __future__ import annotations

import time
import zlib
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from gaugepost.errors import DataSealed, StoreError
from gaugepost.files.limits import PART_BYTES
from gaugepost.jobs import File
from gaugepost.keys import Keys
from gaugepost.ledger.call_deadline import deadline
from gaugepost.ledger.chunks import chunks
from gaugepost.ledger.credentials import (
    SharedToken,
    drop_token,
    note_credential,
    put_token,
    put_token_failure,
    token,
)
from gaugepost.ledger.entry import Entry
from gaugepost.ledger.field_statistics import Seen, read_fields
from gaugepost.ledger.file_sets import SET_MS, STAGED_MS, FileSet, Undo, enqueue_set, unstage, upload_digest
from gaugepost.ledger.holds import Hold, read_holds
from gaugepost.ledger.key_prefix import CurrentKeys
from gaugepost.ledger.listing import Listing
from gaugepost.ledger.migrations import migrate
from gaugepost.ledger.producer_calls import Accepted, Edit, ProducerCalls
from gaugepost.ledger.scripts import Runner, our_errors
from gaugepost.ledger.statistics import RegionStatistics, read_statistics
from gaugepost.ledger.views import JobView, scopes_of_kind
from gaugepost.ledger.worker_calls import (
    SWEPT_AT_ONCE,
    BeatStatus,
    Claimed,
    ClaimResult,
    EndedLease,
    Settlement,
    WorkerCalls,
    slot_ms,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import redis

    from gaugepost.forecast import Lane
    from gaugepost.ledger.notices import Notice
    from gaugepost.ledger.presence import Presence
    from gaugepost.ledger.scripts import Call
    from gaugepost.regions import Region
    from gaugepost.settings import Settings
    from gaugepost.states import JobState
    from gaugepost.transitions import HoldSpec

__all__ = [
    "Accepted",
    "BeatStatus",
    "ClaimResult",
    "Claimed",
    "Edit",
    "EndedLease",
    "Entry",
    "FileSet",
    "Hold",
    "JobView",
    "Ledger",
    "RegionStatistics",
    "Settlement",
    "SharedToken",
    "Undo",
]


T = TypeVar("T")

_SWEEPS = 200  # one tick a minute can delete more jobs than a region delivers at 1,000 a second


class Ledger:
    """One region of the ledger. Thread-safe. All calls raise the StoreErrors of errors.py.

    `timeout`: seconds that a call may take, retries included; None: only the client's own timeouts apply.
    """

    def __init__(
        self, client: redis.Redis, region: Region, settings: Settings, *, timeout: float | None = None
    ) -> None:
        self.region = region
        keys = Keys(region, settings.namespace)
        self._run = Runner(client, settings.wait_replicas, timeout)
        self._timeout = timeout
        self._client = client
        self._settings = settings
        self.producer_calls = ProducerCalls(region, settings)
        self._cipher = self.producer_calls.cipher
        lanes = settings.upload_lanes()
        self._worker_calls = WorkerCalls(
            keys, int(settings.lease * 1000), slot_ms(settings.upload_interval), lanes, self._cipher
        )
        self._current_keys = CurrentKeys(client, keys)

    @property
    def keys(self) -> Keys:
        """The region's keys by their names in this Redis."""
        return self._current_keys.keys()

    @property
    def _listing(self) -> Listing:
        return Listing(self._client, self.keys)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # Calls of services and operators

    def enqueue(self, entries: Sequence[Entry]) -> list[Accepted]:
        """Store all these jobs in one round trip, or none. Raises BacklogFull, StoreFull."""
        call = self.producer_calls.enqueue(entries)
        if not self.producer_calls.reports_fields:
            return self._run(call)
        with deadline(self._timeout):
            accepted = self._run(call)
            if report := self.producer_calls.report(entries):
                with suppress(StoreError):
                    self._run(report)
        return accepted

    def fields_seen(self) -> Seen:
        """Return the fields that the jobs of each configuration had in the last days; needs GAUGEPOST_MAPPINGS."""
        return read_fields(self._client, self.keys)

    def read(self, ids: Sequence[str]) -> list[JobView | None]:
        """Read jobs; None for an unknown id."""
        views: list[JobView | None] = []
        while len(views) < len(ids):
            some: list[JobView | None] = self._run(self.producer_calls.read(ids[len(views) :]))
            views += some
        return views

    def cancel(self, ids: Sequence[str], by: str = "") -> list[tuple[JobState | None, bool]]:
        """Cancel jobs that were not sent. Return for each its new state and whether this call cancelled it."""
        return self._each(self.producer_calls.cancel(some, _now_ms(), by) for some in chunks(ids, len))

    def replay(
        self, ids: Sequence[str], by: str = "", why: str = "", edits: Mapping[str, Edit] | None = None
    ) -> list[tuple[JobState | None, bool]]:
        """Requeue dead or parked jobs. Return for each its new state and whether this call requeued it.

        `edits`: id → the new form of a job. A job does not change if a hold keeps it, if it has expired, or if another
        person has edited it since it was read.
        """
        return self._each(self.producer_calls.replay(ids, _now_ms(), by, why, edits or {}))

    def resolve(
        self, ids: Sequence[str], to: JobState, by: str = "", why: str = ""
    ) -> list[tuple[JobState | None, bool]]:
        """Resolve unknown jobs as delivered or dead. Return for each its new state and whether this call changed it."""
        return self._each(self.producer_calls.resolve(some, to, _now_ms(), by, why) for some in chunks(ids, len))

    def _each(self, calls: Iterable[Call[list[T]]]) -> list[T]:
        """Run calls one after another, and return the values of all."""
        return [one for call in calls for one in self._run(call)]

    def hold(
        self, scope: str, reason: str, by: str, until_ms: int | None = None, *, lasts_ms: int | None = None
    ) -> bool:
        """Open a person's hold on the region (""), `configuration:<reference>`, `endpoints:…` or `credentials:…`.

        It ends at `until_ms` or after `lasts_ms`, by Redis' clock. Return False if that is in the past.
        """
        return self._run(self.producer_calls.hold(scope, reason, by, until_ms, lasts_ms))

    def resume(self, scope: str, by: str = "") -> bool:
        """Lift a hold of a person or an automatic one. Return False if there is none. `by`: for the workers' log."""
        return self._run(self.producer_calls.resume(scope, by))

    def holds(self) -> dict[str, Hold]:
        """Return scope → hold for all holds of the region."""
        with our_errors():
            found: dict[bytes, bytes] = self._client.hgetall(self.keys["holds"])  # type: ignore[assignment]
        return read_holds([part for pair in found.items() for part in pair])

    def kept_by(self, scopes: Sequence[str]) -> list[int]:
        """Return the number of jobs that the hold of each scope has parked; the queue may have more of them."""
        return self._listing.kept_by(scopes)

    def ids(self, state: JobState) -> Iterator[str]:
        """Yield the ids of all jobs in a state, read in steps. A job that moves meanwhile may be missed or repeated."""
        return self._listing.ids(state)

    def summary(self, holds: Mapping[str, Hold] | None = None) -> dict[str, Any]:
        """Return this region's part of `gaugepost status`. It takes the same time at any backlog.

        `holds`: the result of `holds()`, if the caller has it.
        """
        return self._listing.summary(self.holds() if holds is None else holds, self._settings.upload_interval)

    def statistics(self) -> RegionStatistics:
        """Return statistics for the metrics exporter: ages, delays, live workers. As cheap as `summary`."""
        return read_statistics(self._client, self.keys)

    def presence(self) -> Presence:
        """Return when workers and beat of the region were last seen."""
        return self._listing.presence()

    def oldest_urgent_age(self) -> float | None:
        """Return the age of the oldest queued urgent job in seconds; None if there is none."""
        return self._listing.oldest_urgent_age()

    # File sets

    def stage(self, job_id: str, content: bytes) -> None:
        """Store a part's content for an hour, until the call that enqueues its set."""
        with our_errors():
            self._client.set(
                self.keys.of("content:", job_id), self._cipher.encrypt_content(zlib.compress(content)), px=STAGED_MS
            )

    def unstage(self, ids: Sequence[str]) -> None:
        """Delete staged contents of a set that was not enqueued. Contents of an enqueued set stay."""
        self._run(unstage(self.producer_calls, ids))

    def enqueue_set(self, files: FileSet, entries: Sequence[Entry], *, again: bool, first: bool) -> str:
        """Enqueue all parts of an upload, or none. Return the id of the set that has this content.

        The id of another set means that this one was refused: that set has the same content and family.
        Raises BacklogFull, StoreFull.
        """
        lane = self.producer_calls.lane(entries[0].job)
        return self._run(enqueue_set(self.producer_calls, files, entries, lane=lane, again=again, first=first))

    def uploaded_before(self, family: str, sha256: str) -> str | None:
        """Return the id of a set of the last 30 days with this content and family; None if there is none."""
        with our_errors():
            key = self.keys.of("digest:", upload_digest(family, sha256))
            found: bytes | None = self._client.get(key)  # type: ignore[assignment]
        return None if found is None else found.decode()

    def file_set(self, set_id: str) -> FileSet | None:
        """Return a file set; None for an unknown id. Raises DataSealed."""
        with our_errors():
            text: bytes | None = self._client.get(self.keys.of("set:", set_id))  # type: ignore[assignment]
        return None if text is None else FileSet.from_json(self._decrypted(set_id, text))

    def _decrypted(self, set_id: str, text: bytes) -> bytes:
        try:
            return self._cipher.decrypt_text(text)
        except DataSealed as error:
            raise DataSealed(f"upload {set_id} {error}") from None

    def note_undo(self, set_id: str, undo: Undo) -> None:
        """Record that a file set was undone. The jobs in `undo` delete its uploads."""
        with our_errors():
            self._client.set(self.keys.of("undo:", set_id), undo.to_json(), px=SET_MS)

    def undo_of(self, set_id: str) -> Undo | None:
        """Return who undid a file set and how; None if it was not undone."""
        with our_errors():
            text: bytes | None = self._client.get(self.keys.of("undo:", set_id))  # type: ignore[assignment]
        return None if text is None else Undo.from_json(text)

    def upload_lane(self, lane: str = "files", *, first: bool = False) -> Lane:
        """Return the state of an upload lane for a forecast; `first`: for files that go before all waiting ones."""
        found = self.holds()
        holds = [found[scope] for scope in scopes_of_kind(File) if scope in found]
        return self._listing.upload_lane(lane, holds, self._settings.upload_interval, first=first)

    def upload_lanes(self) -> list[str]:
        """Return the names of the region's upload lanes."""
        return self._settings.upload_lanes()

    def waiting_files(self, lane: str = "files") -> Iterator[str]:
        """Yield the ids of the files that wait for a slot, in the order in which they will be sent."""
        return self._listing.waiting_files(lane)

    # Calls of workers

    def claim(
        self, worker: str, token: str, limit: int, concurrency: int = 16, *, urgent_only: bool = False
    ) -> ClaimResult:
        """Claim up to `limit` jobs under leases. `concurrency`: how many jobs this worker sends at a time."""
        result = self._run(self._worker_calls.claim(worker, token, limit, concurrency, urgent_only=urgent_only))
        if result.unreadable:
            self._run(self._worker_calls.set_aside(result.unreadable, _now_ms()))
        return result

    def is_warm(self, configuration: str) -> bool:
        """Return whether a job of this configuration was delivered within the last hour."""
        with our_errors():
            return bool(self._client.exists(self.keys.of("warm:", configuration)))

    def content(self, job_id: str) -> bytes | None:
        """Return a file's content; None if it is deleted or damaged. Raises DataSealed."""
        with our_errors():
            found: bytes | None = self._client.get(self.keys.of("content:", job_id))  # type: ignore[assignment]
        return None if found is None else _decompressed(self._cipher.decrypt_content(found))

    def mark(self, claimed: Claimed) -> tuple[int, int]:
        """Write the sending mark just before the first byte.

        Return (1, 0), or (0, ms until the upload slot opens), or (-1, 0) if the lease is lost.
        """
        return self._run(self._worker_calls.mark(claimed))

    def settle(self, settlements: Sequence[Settlement], *, rescue: bool = False) -> list[bool]:
        """Record the outcomes of claimed jobs. Return False for a job that this worker has lost."""
        return self._each(self._worker_calls.settle(settlements, rescue=rescue))

    def renew(self, jobs: Sequence[Claimed]) -> list[bool]:
        """Renew leases. Return False for a job that this worker has lost."""
        return self._run(self._worker_calls.renew(jobs))

    def ended_leases(self, limit: int = 200) -> list[EndedLease]:
        """Return jobs whose lease has ended. Set aside those that cannot be parsed."""
        extended, ended, unreadable = self._run(self._worker_calls.ended_leases(limit))
        while extended and not ended and not unreadable:
            extended, ended, unreadable = self._run(self._worker_calls.ended_leases(limit))
        if unreadable:
            self._run(self._worker_calls.set_aside(unreadable, _now_ms(), rescue=True))
        return ended

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

    def migrate(self) -> int:
        """Migrate what older versions wrote; return the number of migrated jobs. Raises LedgerClosed."""
        moved = 0
        while step := self._run(migrate(self.producer_calls.keys)):
            moved += step
        return moved

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
        """Delete a bounded number of ended jobs whose retention is over, in short scripts; return their number."""
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
        return deleted


def _decompressed(content: bytes) -> bytes | None:
    """Decompress at most PART_BYTES, because the content in Redis may be damaged; None if it is."""
    decompression = zlib.decompressobj()
    try:
        text = decompression.decompress(content, PART_BYTES)
    except zlib.error:
        return None
    return text if decompression.eof else None


def _now_ms() -> int:
    """Return the time for a person's entry on a record; nothing is decided by it."""
    return int(time.time() * 1000)
