"""`file`: upload one file of many rows (v4.1 File family), one a slot.

Source: File APIs, `../shared/api/customergauge.md` section 2. Limits: 2 MB (taken as 2,000,000 bytes, since the
source does not say which), 2,000 records, CSV, XLS, XLSX or XML. The content is read and checked by whoever
enqueues (`load`), lies compressed in the ledger, and never travels in a message.
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import io
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gaugepost.errors import InvalidJob, Problem
from gaugepost.jobs.common import JobBase

MAX_BYTES = 2_000_000
MAX_ROWS = 2_000
TYPES = (".csv", ".xls", ".xlsx", ".xml")

Family = Literal["transactional", "contact", "historical", "activity"]


class FileResult(BaseModel):
    """The counts CustomerGauge's upload statistics give; None while nobody has looked."""

    model_config = ConfigDict(frozen=True)

    total: int | None = None
    successful: int | None = None
    unsuccessful: int | None = None
    messages: tuple[str, ...] = ()


class Stored(BaseModel):
    """What the ledger knows of a content it keeps beside the job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    size: Annotated[int, Field(gt=0)]
    rows: int | None = None
    """Records in it, where they were counted."""


class File(JobBase, frozen=True):
    """One upload. Give `path`, or `filename` with `content_base64`; `stored` is set when it was accepted."""

    kind: Literal["file"] = "file"
    family: Family
    filename: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^/\\\x00-\x1f\"]+$")] | None = None
    content_base64: str | None = Field(default=None, repr=False)
    path: str | None = None
    stored: Stored | None = None

    needs: ClassVar[Literal["oauth", "api_key"]] = "api_key"

    @property
    def lane(self) -> str:
        """All files of a region are one lane: one a slot."""
        return "files"

    @property
    def once(self) -> bool:
        """Always: after a lost answer the upload statistics tell whether it arrived."""
        return True

    @property
    def upload_name(self) -> str:
        """Name under which it goes out: CustomerGauge refuses a name twice, so the content's hash is part of it."""
        if self.filename is None or self.stored is None:
            raise ValueError("a file has its upload name when it was accepted")
        name = PurePosixPath(self.filename)
        return f"{name.stem}.{self.stored.sha256[:10]}{name.suffix.lower()}"

    @field_validator("filename", "path")
    @classmethod
    def _has_a_known_type(cls, name: str | None) -> str | None:
        if name is not None and PurePosixPath(name).suffix.lower() not in TYPES:
            raise ValueError(f"expected a file name that ends in {', '.join(TYPES)}")
        return name

    @model_validator(mode="after")
    def _has_one_content(self) -> Self:
        if sum(value is not None for value in (self.content_base64, self.path, self.stored)) != 1:
            raise ValueError("expected either path, or filename and content_base64")
        if self.path is None and self.filename is None:
            raise ValueError("filename: required with content_base64")
        return self

    def load(self) -> tuple[File, bytes]:
        """Read and check the content; return the job as the ledger keeps it, and the content.

        Raises InvalidJob: no regular file, too large, empty, more than 2,000 rows, header without a row.
        """
        content = self._read()
        _check_size(content)
        filename = self.filename or Path(self.path or "").name
        rows = _count_csv_rows(content) if filename.lower().endswith(".csv") else None
        stored = Stored(sha256=hashlib.sha256(content).hexdigest(), size=len(content), rows=rows)
        update = {"filename": filename, "content_base64": None, "path": None, "stored": stored}
        return self.model_copy(update=update), content

    def _read(self) -> bytes:
        if self.path is not None:
            return _read_regular_file(Path(self.path))
        if self.content_base64 is None:
            raise InvalidJob([Problem("stored", "is set by gaugepost; give path or content_base64")])
        try:
            return base64.b64decode(self.content_base64, validate=True)
        except binascii.Error:
            raise InvalidJob([Problem("content_base64", "expected base64")]) from None

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> FileResult:
        """Read the result as the ledger keeps it."""
        return FileResult.model_validate(data)


def _read_regular_file(path: Path) -> bytes:
    if not path.is_file():
        raise InvalidJob([Problem("path", "expected a regular file that can be read")])
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidJob([Problem("path", f"cannot be read: {error.strerror}")]) from None


def _check_size(content: bytes) -> None:
    if not content:
        raise InvalidJob([Problem("content", "the file is empty")])
    if len(content) > MAX_BYTES:
        raise InvalidJob([Problem("content", f"expected at most {MAX_BYTES:,} bytes")])


def _count_csv_rows(content: bytes) -> int:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidJob([Problem("content", "expected UTF-8 text")]) from None
    try:
        rows = sum(1 for row in csv.reader(io.StringIO(text, newline="")) if row) - 1
    except csv.Error:
        raise InvalidJob([Problem("content", "cannot be read as CSV")]) from None
    if rows < 1:
        raise InvalidJob([Problem("content", "the file has a header and no row")])
    if rows > MAX_ROWS:
        raise InvalidJob([Problem("content", f"expected at most {MAX_ROWS:,} rows, it has {rows:,}")])
    return rows
