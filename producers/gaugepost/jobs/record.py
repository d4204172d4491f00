"""`record`: create or update one record through an inbound mapping (PUT Records).

Source: `docs/customergauge.md`, "PUT Records".
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from gaugepost.jobs.base import JobBase
from gaugepost.jobs.field_types import Configuration
from gaugepost.jobs.record_fields import RecordFields


class RecordResult(BaseModel):
    """CustomerGauge's answer to a record has an empty body."""

    model_config = ConfigDict(frozen=True)


class Record(JobBase, frozen=True):
    """Create or update one record. Its mapping defines which: account, contact, survey record or external response."""

    kind: Literal["record"] = "record"
    configuration: Configuration
    record: RecordFields

    @property
    def mapping(self) -> str:
        """The reference of its inbound mapping."""
        return self.configuration

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> RecordResult:
        """Parse the result that the ledger stored."""
        return RecordResult.model_validate(data)
