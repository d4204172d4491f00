"""Settings of file uploads: the upload lane, its interval, the paths of the file families."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from gaugepost.file_families import FAMILIES
from gaugepost.settings.group import Group
from gaugepost.settings.types import Seconds, read_schedule


class UploadSettings(Group):
    """Uploads of files."""

    upload_interval: Annotated[
        Seconds,
        Field(description="seconds between two uploads of a region; at least 600 for customergauge.com"),
    ] = 600.0
    upload_scope: Annotated[
        Literal["region", "family"],
        Field(description="which files share one upload lane: `region`: all; `family`: those of one family"),
    ] = "region"
    upload_poll: Annotated[
        tuple[Seconds, ...],
        NoDecode,
        BeforeValidator(read_schedule),
        Field(min_length=1, description="waits between two requests for an upload's statistics; the last one repeats"),
    ] = (60.0, 120.0, 300.0, 600.0)
    record_number_base: Annotated[
        int, Field(ge=0, le=2, description="number of a file's first record in CustomerGauge's messages about rows")
    ] = 2
    transactional_path: Annotated[
        str, Field(pattern="^/", description="path of this family's uploads and statistics")
    ] = "/v4.1/file/transactional.json"
    contact_path: Annotated[str, Field(pattern="^/", description="as for transactional")] = "/v4.1/file/contact.json"
    historical_path: Annotated[str, Field(pattern="^/", description="as for transactional")] = (
        "/v4.1/file/historical.json"
    )
    activity_path: Annotated[
        str, Field(pattern="^/", description="as for transactional; not in the public documentation, ask CustomerGauge")
    ] = "/v4.1/file/activity.json"

    def upload_lanes(self) -> list[str]:
        """Return the names of a region's upload lanes."""
        return ["files"] if self.upload_scope == "region" else [f"files:{family}" for family in FAMILIES]

    def file_paths(self) -> dict[str, str]:
        """Return family → its path below `api_url`."""
        return {family: getattr(self, f"{family}_path") for family in FAMILIES}
