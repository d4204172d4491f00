"""`Ledger`: one region of the ledger, for services and operators, on a blocking client."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gaugepost.errors import StoreError
from gaugepost.jobs import File
from gaugepost.keys import Keys
from gaugepost.ledger.api_keys import ApiKeys
from gaugepost.ledger.audit import AuditTrail
from gaugepost.ledger.call_deadline import deadline
from gaugepost.ledger.chunks import chunks
from gaugepost.ledger.field_statistics import Seen, read_fields
from gaugepost.ledger.file_sets import FileSets
from gaugepost.ledger.holds import Hold, read_holds
from gaugepost.ledger.key_prefix import CurrentKeys
from gaugepost.ledger.listing import Listing
from gaugepost.ledger.operations import Operations
from gaugepost.ledger.producer_calls import Accepted, Edit, ProducerCalls
from gaugepost.ledger.queries import Queries
from gaugepost.ledger.region_history import RegionHistory, read_history
from gaugepost.ledger.region_status import RegionStatus
from gaugepost.ledger.scripts import Runner, our_errors
from gaugepost.ledger.statistics import RegionStatistics, read_statistics
from gaugepost.ledger.users import Users
from gaugepost.ledger.wait_reasons import scopes_of_kind
from gaugepost.ledger.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import redis

    from gaugepost.forecast import Lane
    from gaugepost.ledger.entry import Entry
    from gaugepost.ledger.presence import Presence
    from gaugepost.ledger.views import JobView
    from gaugepost.regions import Region
    from gaugepost.settings import Settings
    from gaugepost.states import JobState

    _Outcomes = list[tuple[JobState | None, bool]]


class Ledger(Queries):
    """One region of the ledger. Thread-safe. All calls raise the StoreErrors of errors.py.

    `timeout`: seconds that a call may take, retries included; None: only the client's own timeouts apply.
    """

    def __init__(
        self, client: redis.Redis, region: Region, settings: Settings, *, timeout: float | None = None
    ) -> None:
        self.region = region
        self.producer_calls = ProducerCalls(region, settings)
        self._client = client
        self._settings = settings
        self._timeout = timeout
        self._run = Runner(client, settings.wait_replicas, timeout)
        self._cipher = self.producer_calls.cipher
        self._current_keys = CurrentKeys(client, Keys(region, settings.namespace))
        self.file_sets = FileSets(client, self._run, self.producer_calls, self._current_keys)
        self.audit = AuditTrail(client, self._run, self._current_keys, settings.retention_audit)
        self.api_keys = ApiKeys(self._run, self.producer_calls.keys)
        self.users = Users(self._run, self.producer_calls.keys)
        self.webhooks = Webhooks(client, self._run, self.producer_calls.keys, self._current_keys, self._cipher)
        self.operations = Operations(client, self._run, self.producer_calls.keys, self._current_keys, self._cipher)

    @property
    def keys(self) -> Keys:
        """The region's keys by their names in this Redis."""
        return self._current_keys.keys()

    @property
    def _listing(self) -> Listing:
        return Listing(self._client, self.keys)

    @property
    def _status(self) -> RegionStatus:
        return RegionStatus(self._client, self.keys)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # Jobs

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

    def cancel(self, ids: Sequence[str], by: str = "", why: str = "", *, events: bool = True) -> _Outcomes:
        """Cancel jobs that were not sent. Return what `producer_calls.cancel` does."""
        calls = self.producer_calls
        return self._run.each(calls.cancel(some, now_ms(), by, why, events=events) for some in chunks(ids, len))

    def replay(
        self, ids: Sequence[str], by: str = "", why: str = "", edits: Mapping[str, Edit] | None = None
    ) -> list[tuple[JobState | None, bool]]:
        """Requeue dead or parked jobs. Return for each its new state and whether this call requeued it.

        `edits`: id → the new form of a job. A job does not change if a hold keeps it, if it has expired, or if another
        person has edited it since it was read.
        """
        return self._run.each(self.producer_calls.replay(ids, now_ms(), by, why, edits or {}))

    def resolve(self, ids: Sequence[str], to: JobState, by: str = "", why: str = "") -> _Outcomes:
        """Resolve unknown jobs as delivered or dead. Return for each its new state and whether this call changed it."""
        return self._run.each(self.producer_calls.resolve(some, to, now_ms(), by, why) for some in chunks(ids, len))

    # Holds and upload lanes

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

    # Status

    def summary(self, holds: Mapping[str, Hold] | None = None) -> dict[str, Any]:
        """Return this region's part of `gaugepost status`. It takes the same time at any backlog.

        `holds`: the result of `holds()`, if the caller has it.
        """
        return self._status.summary(self.holds() if holds is None else holds, self._settings.upload_interval)

    def statistics(self) -> RegionStatistics:
        """Return statistics for the metrics exporter: ages, delays, live workers. As cheap as `summary`."""
        return read_statistics(self._client, self.keys)

    def history(self) -> RegionHistory:
        """Return what the region did in the last hour by minutes, and in the last day by quarters of an hour."""
        return read_history(self._client, self.keys)

    def presence(self) -> Presence:
        """Return when workers and beat of the region were last seen."""
        return self._status.presence()

    def oldest_urgent_age(self) -> float | None:
        """Return the age of the oldest queued urgent job in seconds; None if there is none."""
        return self._status.oldest_urgent_age()


def now_ms() -> int:
    """Return the time for a person's entry on a record; nothing is decided by it."""
    return int(time.time() * 1000)
