"""gaugepost: jobs for CustomerGauge, stored in Redis and delivered by Celery workers.

Services install this package. It needs redis and pydantic, but no Celery. Start with `Producer` and a kind of job, such
as `Record`; see docs/enqueue.md.
"""

from __future__ import annotations

from gaugepost.async_client import AsyncProducer
from gaugepost.client import Producer
from gaugepost.errors import (
    BacklogFull,
    BatchConflict,
    DataSealed,
    GaugepostError,
    IdempotencyConflict,
    InvalidJob,
    InvalidQuery,
    JobCancelled,
    JobDead,
    JobEnded,
    JobExpired,
    JobNotFound,
    ResultLost,
    ResultTimeout,
    SettingsError,
    StoreError,
    StoreFull,
    StoreUnreachable,
)
from gaugepost.jobs import (
    CloseLoop,
    CloseLoopResult,
    File,
    FileDelete,
    FileDeleteResult,
    FileResult,
    PersonalLink,
    PersonalLinkResult,
    Record,
    RecordResult,
    Response,
    ResponseResult,
    parse_job,
)
from gaugepost.receipts import AsyncReceipt, Receipt, Receipts
from gaugepost.regions import Region
from gaugepost.settings import Settings
from gaugepost.states import JobState
from gaugepost.verdict import Verdict

__all__ = [
    "AsyncProducer",
    "AsyncReceipt",
    "BacklogFull",
    "BatchConflict",
    "CloseLoop",
    "CloseLoopResult",
    "DataSealed",
    "File",
    "FileDelete",
    "FileDeleteResult",
    "FileResult",
    "GaugepostError",
    "IdempotencyConflict",
    "InvalidJob",
    "InvalidQuery",
    "JobCancelled",
    "JobDead",
    "JobEnded",
    "JobExpired",
    "JobNotFound",
    "JobState",
    "PersonalLink",
    "PersonalLinkResult",
    "Producer",
    "Receipt",
    "Receipts",
    "Record",
    "RecordResult",
    "Region",
    "Response",
    "ResponseResult",
    "ResultLost",
    "ResultTimeout",
    "Settings",
    "SettingsError",
    "StoreError",
    "StoreFull",
    "StoreUnreachable",
    "Verdict",
    "parse_job",
]
