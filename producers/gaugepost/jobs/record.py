"""`record`: create or update one record through an inbound mapping (PUT Records).

Source: `docs/customergauge.md`, "PUT Records".
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from gaugepost.jobs.common import Cells, Configuration, JobBase


class RecordResult(BaseModel):
    """CustomerGauge answers a record with an empty body: that it was taken is all there is to know."""

    model_config = ConfigDict(frozen=True)


class Record(JobBase, frozen=True):
    """One record: an account, a contact, a survey record or an external response, as its mapping says."""

    kind: Literal["record"] = "record"
    configuration: Configuration
    record: Cells

    @property
    def mapping(self) -> str:
        """Its inbound mapping."""
        return self.configuration

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> RecordResult:
        """Read the result as the ledger keeps it."""
        return RecordResult.model_validate(data)
