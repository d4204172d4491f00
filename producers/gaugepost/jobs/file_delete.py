"""`file_delete`: undo one upload, with all records made from it (v4.1 DELETE File).

Source: `docs/customergauge.md`, "Files". It destroys real responses, so it is a job of
its own and never a side effect.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from gaugepost.jobs.common import WHOLE, Endpoints, JobBase


class FileDeleteResult(BaseModel):
    """CustomerGauge answers only that it deleted the upload."""

    model_config = ConfigDict(frozen=True)


class FileDelete(JobBase, frozen=True):
    """One upload to delete, with all records that came of it. `gaugepost uploads undo` enqueues these."""

    kind: Literal["file_delete"] = "file_delete"
    upload_id: Annotated[
        int, Field(ge=1, description="CustomerGauge's id of the upload, from its statistics.", examples=[12]), WHOLE
    ]

    needs: ClassVar[Literal["oauth", "api_key"]] = "api_key"
    endpoints: ClassVar[Endpoints] = "uploads"

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> FileDeleteResult:
        """Read the result as the ledger keeps it."""
        return FileDeleteResult.model_validate(data)
