"""The jobs in flight: a worker has claimed them, and has not settled them yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from gaugepost.errors import StoreError
from gaugepost_workers.lease import Lease

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed, WorkerLedger

log = structlog.get_logger("gaugepost.dispatcher")


class InFlight:
    """The leases on jobs in flight, by job id. Only the dispatcher's thread changes them; any thread may call `holds`.

    `lease_s`: the length of a lease in seconds. All times are those of `lease_clock`.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._leases: dict[str, Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._leases

    def add(self, claimed: Claimed, claimed_at: float) -> Lease:
        """Add a claimed job; return its lease. `claimed_at`: the time before the claim."""
        lease = self._leases[claimed.id] = Lease(claimed, self._lease_s, claimed_at)
        return lease

    def holds(self, lease: Lease) -> bool:
        """Return whether the job is still in flight under this lease, and not under a later one."""
        return not lease.lost and self._leases.get(lease.claimed.id) is lease

    def release(self, claimed: Claimed) -> None:
        """Remove a job, unless this worker lost it meanwhile and has claimed it again."""
        lease = self._leases.get(claimed.id)
        if lease is not None and lease.claimed is claimed:
            del self._leases[claimed.id]

    def clear(self) -> None:
        """Give up all jobs: the rescuer takes them back when their leases end."""
        self._leases.clear()

    def urgent(self) -> int:
        """Count the urgent jobs in flight."""
        return sum(lease.claimed.job.urgent for lease in self._leases.values())

    def renew(self, ledger: WorkerLedger, now: float) -> None:
        """Renew the leases of which a third has passed. Log if Redis does not answer."""
        due = [lease for lease in self._leases.values() if now - lease.renewed_at > self._lease_s / 3]
        if not due:
            return
        try:
            renewed = ledger.renew([lease.claimed for lease in due])
        except StoreError as error:
            log.warning("renew failed", error=str(error), jobs=len(due))
            return
        for lease, is_ours in zip(due, renewed, strict=True):
            if is_ours:
                lease.renewed_at = now
            else:  # Redis has given the job to another worker
                lease.lost = True
