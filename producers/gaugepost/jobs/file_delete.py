"""`file_delete`: undo one upload, with all records made from it (v4.1 DELETE File).

Source: DELETE File, `../shared/api/customergauge.md` section 2.8. It destroys real responses, so it is a job of
its own and never a side effect.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from gaugepost.jobs.common import JobBase, WholeNumber


class FileDeleteResult(BaseModel):
    """CustomerGauge answers only that it deleted the upload."""

    model_config = ConfigDict(frozen=True)


class FileDelete(JobBase, frozen=True):
    """One upload to delete, by the id that the upload statistics give it."""

    kind: Literal["file_delete"] = "file_delete"
    upload_id: Annotated[WholeNumber, Field(ge=1)]

    needs: ClassVar[Literal["oauth", "api_key"]] = "api_key"

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> FileDeleteResult:
        """Read the result as the ledger keeps it."""
        return FileDeleteResult.model_validate(data)
