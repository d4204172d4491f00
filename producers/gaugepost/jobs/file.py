"""`file`: upload one file of many rows (v4.1 File family). Each upload takes one upload slot.

Source: `docs/customergauge.md`, "Files". Limits: 2 MB, 2,000 records, CSV, XLS, XLSX or XML. The source does not say
how many bytes 2 MB are; gaugepost allows 2,000,000. The producer reads and checks the content (`load`) and stores it
compressed in the ledger. No Celery message contains it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gaugepost.errors import InvalidJob, Problem
from gaugepost.file_families import Family
from gaugepost.files import PART_BYTES, PART_ROWS, content, inspect, split
from gaugepost.files.names import ENDINGS, split_name
from gaugepost.jobs.base import Endpoints, JobBase

_NAME_BYTES = 255
_NAME = r"^[^/\\\x00-\x1f\x7f\"]+$"
"""File names that are safe in a multipart header: no quotes, no control characters, no path."""


class FileResult(BaseModel):
    """CustomerGauge's upload statistics of the file. The counts are None if it was never shown as processed."""

    model_config = ConfigDict(frozen=True)

    total: Annotated[int | None, Field(description="Rows that CustomerGauge read.")] = None
    successful: Annotated[int | None, Field(description="Rows that CustomerGauge accepted.")] = None
    unsuccessful: Annotated[int | None, Field(description="Rows that CustomerGauge rejected.")] = None
    messages: Annotated[
        tuple[str, ...],
        Field(description="Messages about rows, with row numbers of your own file: `Record 2017: Duplicate Record`."),
    ] = ()
    rejected: Annotated[tuple[int, ...], Field(description="Numbers of the rejected rows, if they are certain.")] = ()
    upload_id: Annotated[int | None, Field(description="CustomerGauge's id of the upload; `file_delete` needs it.")] = (
        None
    )


class Stored(BaseModel):
    """The description of a file content that the ledger stores under its own key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    size: Annotated[int, Field(gt=0)]
    rows: int
    name: Annotated[str, Field(max_length=_NAME_BYTES, pattern=_NAME)]
    """The unique name of the upload: CustomerGauge refuses a name that it has seen."""
    first_row: int = 1
    """For a part: the number of its first row in the user's file."""
    set: str | None = None
    """For a part: the id of its file set."""
    part: int = 1
    of: int = 1


def unique_name(name: str, whose: str) -> str:
    """Replace the content's hash in a file name by a hash that no other upload has.

    CustomerGauge refuses a name that it has seen, and a search by name must not find an upload of the same content.
    """
    stem, ending = name.rsplit(".", 2)[0], name.rpartition(".")[2]
    return f"{stem}.{hashlib.sha256(f'{whose}:{name}'.encode()).hexdigest()[:10]}.{ending}"


class File(JobBase, frozen=True):
    """One upload. Give `path`, or `filename` with `content_base64`. `enqueue` sets `stored`."""

    kind: Literal["file"] = "file"
    family: Annotated[
        Family,
        Field(description="The type of import; `activity` is for anonymous surveys.", examples=["contact"]),
    ]
    filename: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=128,
            pattern=_NAME,
            description="The name of the file; it ends in .csv, .xls, .xlsx or .xml. Required with `content_base64`; "
            "the default is the name of `path`.",
            examples=["march.csv"],
        ),
    ] = None
    content_base64: Annotated[
        str | None,
        Field(
            repr=False, description="The content as base64. Give this or `path`.", examples=["RW1haWwKYUBiLmV4YW1wbGUK"]
        ),
    ] = None
    path: Annotated[
        str | None,
        Field(
            description="A file of at most 2,000 rows and 2,000,000 bytes; `gaugepost upload` splits longer ones. The "
            "process that enqueues reads it, not a worker.",
            examples=["exports/contacts.xlsx"],
        ),
    ] = None
    stored: Annotated[Stored | None, Field(description="Set by gaugepost when the file is accepted.")] = None

    needs: ClassVar[Literal["oauth", "api_key"]] = "api_key"
    endpoints: ClassVar[Endpoints] = "uploads"

    @property
    def lane(self) -> str:
        """The upload lane."""
        return "files"

    @property
    def once(self) -> bool:
        """Always true: after a lost answer the worker asks the upload statistics whether the file arrived."""
        return True

    def sent(self) -> dict[str, Any]:
        """Return the family and the hash of the content; not the name, which differs for each upload."""
        return {"kind": self.kind, "family": self.family, "sha256": self.stored.sha256 if self.stored else None}

    @property
    def upload_name(self) -> str:
        """The unique name of the upload."""
        if self.stored is None:
            raise ValueError("only an accepted file has an upload name")
        return self.stored.name

    @field_validator("filename", "path")
    @classmethod
    def _has_a_known_type(cls, name: str | None) -> str | None:
        if name is not None and split_name(name)[1] not in ENDINGS:
            raise ValueError(f"expected a file name that ends in {', '.join(ENDINGS)}")
        return name

    @field_validator("filename")
    @classmethod
    def _fits_into_a_folder(cls, name: str | None) -> str | None:
        if name is not None and len(name.encode()) > _NAME_BYTES:
            raise ValueError(f"expected a file name of at most {_NAME_BYTES} bytes")
        return name

    @model_validator(mode="after")
    def _has_one_content(self) -> Self:
        if sum(value is not None for value in (self.content_base64, self.path, self.stored)) != 1:
            raise ValueError("expected either path, or filename and content_base64")
        if self.path is None and self.filename is None:
            raise ValueError("filename: required with content_base64")
        return self

    def load(self) -> tuple[File, bytes]:
        """Read and check the content. Return the job to store and the content.

        Raises InvalidJob if it is no regular file, does not have the type of its name, has no rows, or is too large for
        one upload.
        """
        if self.path is not None:
            return self._load(Path(self.path))
        with TemporaryDirectory(prefix="gaugepost-") as folder:
            path = Path(folder) / str(self.filename)
            path.write_bytes(self._decoded())
            return self._load(path)

    def _load(self, path: Path) -> tuple[File, bytes]:
        with inspect(path) as upload:
            plan, *more = split(upload)
            if more:
                expected = f"expected at most {PART_ROWS:,} rows and {PART_BYTES:,} bytes; `gaugepost upload` splits it"
                raise InvalidJob([Problem("content", expected)])
            sent = content(upload, plan)
        name = unique_name(plan.name, os.urandom(16).hex())
        stored = Stored(sha256=plan.sha256, size=len(sent), rows=plan.rows, name=name)
        update = {"filename": self.filename or path.name, "content_base64": None, "path": None, "stored": stored}
        return self.model_copy(update=update), sent

    def _decoded(self) -> bytes:
        if self.content_base64 is None:
            raise InvalidJob([Problem("stored", "only gaugepost sets it; give path or content_base64")])
        try:
            return base64.b64decode(self.content_base64, validate=True)
        except binascii.Error:
            raise InvalidJob([Problem("content_base64", "expected base64")]) from None

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> FileResult:
        """Parse the result that the ledger stored."""
        return FileResult.model_validate(data)
