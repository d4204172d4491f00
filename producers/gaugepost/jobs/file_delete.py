"""`file_delete`: delete one upload and all records that CustomerGauge made from it (v4.1 DELETE File).

Source: `docs/customergauge.md`, "Files". It deletes survey responses, so gaugepost never does it as a side effect of
another job.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from gaugepost.jobs.base import Endpoints, JobBase
from gaugepost.jobs.field_types import WHOLE


class FileDeleteResult(BaseModel):
    """CustomerGauge's answer confirms the deletion and has no further data."""

    model_config = ConfigDict(frozen=True)


class FileDelete(JobBase, frozen=True):
    """Delete one upload and all records made from it. `gaugepost uploads undo` enqueues these jobs."""

    kind: Literal["file_delete"] = "file_delete"
    upload_id: Annotated[
        int, Field(ge=1, description="CustomerGauge's id of the upload, from its statistics.", examples=[12]), WHOLE
    ]

    needs: ClassVar[Literal["oauth", "api_key"]] = "api_key"
    endpoints: ClassVar[Endpoints] = "uploads"

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> FileDeleteResult:
        """Parse the result that the ledger stored."""
        return FileDeleteResult.model_validate(data)
