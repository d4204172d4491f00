"""The ledger: the store of all jobs in Redis. Only the ledger's scripts change the state of a job.

`Ledger` is one region of it, on a blocking client; `WorkerLedger` adds the calls of workers. `AsyncProducer` runs the
calls of producers on an asyncio client.
"""

from __future__ import annotations

from gaugepost.ledger.claims import Claimed, ClaimResult, EndedLease
from gaugepost.ledger.credentials import SharedToken
from gaugepost.ledger.entry import Entry
from gaugepost.ledger.file_sets import FileSet, Undo
from gaugepost.ledger.holds import Hold
from gaugepost.ledger.ledger import Ledger
from gaugepost.ledger.producer_calls import Accepted, Edit
from gaugepost.ledger.region_history import Period, RegionHistory
from gaugepost.ledger.settlements import Settlement
from gaugepost.ledger.statistics import RegionStatistics
from gaugepost.ledger.views import JobView
from gaugepost.ledger.worker_calls import BeatStatus
from gaugepost.ledger.worker_ledger import WorkerLedger

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
    "Period",
    "RegionHistory",
    "RegionStatistics",
    "Settlement",
    "SharedToken",
    "Undo",
    "WorkerLedger",
]
