"""The ledger: the Redis record of every job, and the only thing that writes a job's state.

`Ledger` is one region of it on a blocking client; `AsyncProducer` runs the same calls on an asyncio client.
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
from gaugepost.ledger.key_prefix import Place
from gaugepost.ledger.listing import Listing
from gaugepost.ledger.migrations import migrate
from gaugepost.ledger.producer_calls import Accepted, Edit, Intake
from gaugepost.ledger.scripts import Runner, our_errors
from gaugepost.ledger.statistics import Vitals, read_vitals
from gaugepost.ledger.views import JobView, scopes_of_kind
from gaugepost.ledger.worker_calls import SWEPT_AT_ONCE, Alive, Claimed, Lost, Parcel, Settlement, Work, slot_ms

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
    "Alive",
    "Claimed",
    "Edit",
    "Entry",
    "FileSet",
    "Hold",
    "JobView",
    "Ledger",
    "Lost",
    "Parcel",
    "Settlement",
    "SharedToken",
    "Undo",
    "Vitals",
]


T = TypeVar("T")

_SWEEPS = 200  # so that one tick a minute keeps up with more than a thousand deliveries a second


class Ledger:
    """One region of the ledger. Thread-safe, as its client is. All calls raise StoreError as errors.py says.

    `timeout`: seconds that a call may take in all; None: as long as the client's own retries.
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
        self.intake = Intake(region, settings)
        self._cipher = self.intake.cipher
        lanes = settings.upload_lanes()
        self._work = Work(keys, int(settings.lease * 1000), slot_ms(settings.upload_interval), lanes, self._cipher)
        self._place = Place(client, keys)

    @property
    def keys(self) -> Keys:
        """The region's keys, as they are named in this Redis."""
        return self._place.keys()

    @property
    def _listing(self) -> Listing:
        return Listing(self._client, self.keys)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # What services and people do

    def enqueue(self, entries: Sequence[Entry]) -> list[Accepted]:
        """Accept all these jobs in one round trip, or none. Raises BacklogFull."""
        call = self.intake.enqueue(entries)
        if not self.intake.reports_fields:
            return self._run(call)
        with deadline(self._timeout):
            accepted = self._run(call)
            if report := self.intake.report(entries):
                with suppress(StoreError):
                    self._run(report)
        return accepted

    def fields_seen(self) -> Seen:
        """Return the fields that each configuration's jobs had in the last days, as far as MAPPINGS was set."""
        return read_fields(self._client, self.keys)

    def read(self, ids: Sequence[str]) -> list[JobView | None]:
        """Read jobs whole; None for an unknown id."""
        views: list[JobView | None] = []
        while len(views) < len(ids):
            some: list[JobView | None] = self._run(self.intake.read(ids[len(views) :]))
            views += some
        return views

    def cancel(self, ids: Sequence[str], by: str = "") -> list[tuple[JobState | None, bool]]:
        """Cancel what has not been sent: each job's state afterwards, and whether this call cancelled it."""
        return self._each(self.intake.cancel(some, _now_ms(), by) for some in chunks(ids, len))

    def replay(
        self, ids: Sequence[str], by: str = "", why: str = "", edits: Mapping[str, Edit] | None = None
    ) -> list[tuple[JobState | None, bool]]:
        """Send dead or parked jobs back to work: each job's state afterwards, and whether this call did it.

        `edits`: id → the job as it is to be from now on. What a standing hold keeps, what has expired, and what was
        edited by somebody else since it was read stay as they are.
        """
        return self._each(self.intake.replay(ids, _now_ms(), by, why, edits or {}))

    def resolve(
        self, ids: Sequence[str], to: JobState, by: str = "", why: str = ""
    ) -> list[tuple[JobState | None, bool]]:
        """Settle unknown jobs by hand, as delivered or dead: their states afterwards, and whether this call did it."""
        return self._each(self.intake.resolve(some, to, _now_ms(), by, why) for some in chunks(ids, len))

    def _each(self, calls: Iterable[Call[list[T]]]) -> list[T]:
        """Run calls one after another; return all that they return."""
        return [one for call in calls for one in self._run(call)]

    def hold(
        self, scope: str, reason: str, by: str, until_ms: int | None = None, *, lasts_ms: int | None = None
    ) -> bool:
        """Open a person's hold on the region (""), `configuration:<reference>`, `endpoints:…` or `credentials:…`.

        It ends at `until_ms`, or after `lasts_ms`, by Redis' clock; False if that is over: nothing is held.
        """
        return self._run(self.intake.hold(scope, reason, by, until_ms, lasts_ms))

    def resume(self, scope: str, by: str = "") -> bool:
        """Lift a hold, a person's or an automatic one; False if there was none. `by` is for the workers' log."""
        return self._run(self.intake.resume(scope, by))

    def holds(self) -> dict[str, Hold]:
        """Return the holds that stand, by scope."""
        with our_errors():
            found: dict[bytes, bytes] = self._client.hgetall(self.keys["holds"])  # type: ignore[assignment]
        return read_holds([part for pair in found.items() for part in pair])

    def kept_by(self, scopes: Sequence[str]) -> list[int]:
        """Count the jobs that wait under the hold of each scope; those it has not met yet are in the queue."""
        return self._listing.kept_by(scopes)

    def ids(self, state: JobState) -> Iterator[str]:
        """Walk the ids of all jobs in a state, in steps; what moves meanwhile may be missed or seen twice."""
        return self._listing.ids(state)

    def summary(self, holds: Mapping[str, Hold] | None = None) -> dict[str, Any]:
        """Return the figures of `status` for this region; costs the same whatever the backlog.

        `holds`: those that were read a moment ago.
        """
        return self._listing.summary(self.holds() if holds is None else holds, self._settings.upload_interval)

    def vitals(self) -> Vitals:
        """Return what a watcher wants to know beside that: ages, lateness, who is alive; as cheap, for scrapers."""
        return read_vitals(self._client, self.keys)

    def presence(self) -> Presence:
        """Return which parts of the region are there: workers, beat, since when they are not."""
        return self._listing.presence()

    def oldest_urgent_age(self) -> float | None:
        """Return for how many seconds the oldest queued urgent job has been here; None if none waits."""
        return self._listing.oldest_urgent_age()

    # File sets

    def stage(self, job_id: str, content: bytes) -> None:
        """Put a part's content there for a while, for the call that accepts its set."""
        with our_errors():
            self._client.set(
                self.keys.of("content:", job_id), self._cipher.encrypt_content(zlib.compress(content)), px=STAGED_MS
            )

    def unstage(self, ids: Sequence[str]) -> None:
        """Take staged contents away: their set was refused, or its answer was lost; what was accepted stays."""
        self._run(unstage(self.intake, ids))

    def enqueue_set(self, files: FileSet, entries: Sequence[Entry], *, again: bool, first: bool) -> str:
        """Accept an upload's parts, all or none; return the id of the set that has this content.

        Another set's id means it was refused: that one had the same content and family. Raises BacklogFull.
        """
        lane = self.intake.lane(entries[0].job)
        return self._run(enqueue_set(self.intake, files, entries, lane=lane, again=again, first=first))

    def uploaded_before(self, family: str, sha256: str) -> str | None:
        """Return the set that had this content for this family in the last 30 days, if any."""
        with our_errors():
            key = self.keys.of("digest:", upload_digest(family, sha256))
            found: bytes | None = self._client.get(key)  # type: ignore[assignment]
        return None if found is None else found.decode()

    def file_set(self, set_id: str) -> FileSet | None:
        """Return a file set; None for an unknown id. Raises DataSealed."""
        with our_errors():
            text: bytes | None = self._client.get(self.keys.of("set:", set_id))  # type: ignore[assignment]
        return None if text is None else FileSet.from_json(self._opened(set_id, text))

    def _opened(self, set_id: str, text: bytes) -> bytes:
        try:
            return self._cipher.decrypt_text(text)
        except DataSealed as error:
            raise DataSealed(f"upload {set_id} {error}") from None

    def note_undo(self, set_id: str, undo: Undo) -> None:
        """Note that a file set was undone; the jobs do the deleting."""
        with our_errors():
            self._client.set(self.keys.of("undo:", set_id), undo.to_json(), px=SET_MS)

    def undo_of(self, set_id: str) -> Undo | None:
        """Return who undid a file set; None if it was not undone."""
        with our_errors():
            text: bytes | None = self._client.get(self.keys.of("undo:", set_id))  # type: ignore[assignment]
        return None if text is None else Undo.from_json(text)

    def upload_lane(self, lane: str = "files", *, first: bool = False) -> Lane:
        """Return what a forecast of an upload lane stands on; `first`: of files that go before the others."""
        found = self.holds()
        holds = [found[scope] for scope in scopes_of_kind(File) if scope in found]
        return self._listing.upload_lane(lane, holds, self._settings.upload_interval, first=first)

    def upload_lanes(self) -> list[str]:
        """Return the names of the region's upload lanes."""
        return self._settings.upload_lanes()

    def waiting_files(self, lane: str = "files") -> Iterator[str]:
        """Walk the ids of the files that wait for a slot, in the order they will go."""
        return self._listing.waiting_files(lane)

    # What workers do

    def claim(self, worker: str, token: str, limit: int, concurrency: int = 16, *, urgent_only: bool = False) -> Parcel:
        """Claim up to `limit` jobs under leases; `concurrency` is how many this worker sends at a time."""
        parcel = self._run(self._work.claim(worker, token, limit, concurrency, urgent_only=urgent_only))
        if parcel.broken:
            self._run(self._work.set_aside(parcel.broken, _now_ms()))
        return parcel

    def is_warm(self, configuration: str) -> bool:
        """Return whether a job of this configuration was delivered within the last hour."""
        with our_errors():
            return bool(self._client.exists(self.keys.of("warm:", configuration)))

    def content(self, job_id: str) -> bytes | None:
        """Return a file's content; None if it is gone or damaged. Raises DataSealed."""
        with our_errors():
            found: bytes | None = self._client.get(self.keys.of("content:", job_id))  # type: ignore[assignment]
        return None if found is None else _unpacked(self._cipher.decrypt_content(found))

    def mark(self, claimed: Claimed) -> tuple[int, int]:
        """Note, just before the first byte, that it goes out: (1, 0), (0, ms to wait for the slot) or (-1, 0)."""
        return self._run(self._work.mark(claimed))

    def settle(self, settlements: Sequence[Settlement], *, rescue: bool = False) -> list[bool]:
        """Carry out what became of claimed jobs; False for one that was not ours any more."""
        return self._each(self._work.settle(settlements, rescue=rescue))

    def renew(self, jobs: Sequence[Claimed]) -> list[bool]:
        """Renew leases; False for a job that is not ours any more."""
        return self._run(self._work.renew(jobs))

    def ended_leases(self, limit: int = 200) -> list[Lost]:
        """List jobs whose lease has ended; those that cannot be read are set aside."""
        spared, lost, broken = self._run(self._work.ended_leases(limit))
        while spared and not lost and not broken:
            spared, lost, broken = self._run(self._work.ended_leases(limit))
        if broken:
            self._run(self._work.set_aside(broken, _now_ms(), rescue=True))
        return lost

    def token(self, who: str, lock_ms: int, fingerprint: str = "") -> SharedToken:
        """Read the shared access token, or be the one who fetches it; called again meanwhile, it prolongs the lock.

        `fingerprint` names the caller's credential: another one's token is not given to it.
        """
        return self._run(token(self.intake.keys, who, lock_ms, fingerprint))

    def put_token(self, who: str, sealed: bytes, life_ms: int, refresh_ms: int, fingerprint: str = "") -> int:
        """Share a fetched token; return its generation, 0 if it came too late or another credential's still lasts."""
        return self._run(put_token(self.intake.keys, who, sealed, life_ms, refresh_ms, fingerprint))

    def put_token_failure(self, who: str, failure: str, hold: HoldSpec, fingerprint: str = "") -> None:
        """Share that a token could not be had, and open its hold, or move it on."""
        self._run(put_token_failure(self.intake.keys, who, failure, hold, fingerprint))

    def drop_token(self, generation: int) -> bool:
        """Drop the shared token that was refused, unless a newer one has come meanwhile."""
        return self._run(drop_token(self.intake.keys, generation))

    def note_credential(self, need: str, fingerprint: str, answer: Literal["accepted", "refused", ""]) -> bool:
        """Note the last answer about a credential; return whether it is refused while that of another is accepted."""
        return self._run(note_credential(self.intake.keys, need, fingerprint, answer))

    def migrate(self) -> int:
        """Bring what older versions wrote to what this one reads; return how many jobs. Raises LedgerClosed."""
        moved = 0
        while step := self._run(migrate(self.intake.keys)):
            moved += step
        return moved

    def promote(
        self,
        credentials: Mapping[str, str] = MappingProxyType({}),
        log: Callable[[Notice], object] = lambda _: None,
    ) -> int:
        """Release what is due, paced by Redis' clock, in short scripts; return how many.

        `credentials` (need → fingerprint) are the caller's: a hold about another one is lifted. `log` gets what
        happened to holds since the last call, and which jobs died of one.
        """
        released, more = 0, True
        while more:
            some, more, notices = self._run(self._work.promote(credentials))
            released += some
            for notice in notices:
                log(notice)
        return released

    def alive(self, worker: str, up_s: float, pushed: int | str, ticks: Mapping[str, float]) -> Alive:
        """Note that a worker lives; return since when beat is silent, and the ticks that this worker has to run itself.

        `up_s`: seconds since it started. `pushed`: when beat pushed the newest tick that it took, Unix ms; `now`; or
        empty: it took none. `ticks`: name → seconds between two.
        """
        return self._run(self._work.alive(worker, int(up_s * 1000), pushed, ticks))

    def leave(self, worker: str) -> None:
        """Note that a worker has ended, so that it counts as absent at once."""
        self._run(self._work.leave(worker))

    def open_slot(self) -> bool:
        """Ring for a file if the upload slot is open."""
        return self._run(self._work.open_slot())

    def sweep(self) -> int:
        """Forget ended jobs whose retention is over, in short scripts, up to a bounded number; return how many."""
        delivered = int(self._settings.retention_delivered * 1000)
        dead = int(self._settings.retention_dead * 1000)
        retention = {"delivered": delivered, "cancelled": delivered, "expired": delivered, "dead": dead}
        contents = int(self._settings.retention_content * 1000)
        gone = 0
        for _ in range(_SWEEPS):
            swept = self._run(self._work.sweep(retention, contents))
            gone += swept
            if swept < SWEPT_AT_ONCE:
                break
        return gone


def _unpacked(content: bytes) -> bytes | None:
    """Unpack no more than a part may have: what lies in Redis may not be what was put there."""
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(content, PART_BYTES)
    except zlib.error:
        return None
    return unpacked if unpacking.eof else None


def _now_ms() -> int:
    """Return the time for a person's entry on a record; nothing is decided by it."""
    return int(time.time() * 1000)
