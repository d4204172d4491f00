"""Check whether a file can be uploaded, and find its type and its records."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, cast

from gaugepost.files.content_type import is_protected, kind_of, mismatch
from gaugepost.files.csv_reader import read_csv
from gaugepost.files.limits import MAX_FILE, missing, refusal
from gaugepost.files.names import ENDINGS, split_name
from gaugepost.files.text import chunks
from gaugepost.files.upload import Found, Upload
from gaugepost.files.workbook_child import PASSWORD
from gaugepost.files.workbook_reader import read_workbook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gaugepost.files.records import Records
    from gaugepost.files.upload import FileType

_HEAD = 4096


def inspect(path: Path) -> Upload:
    """Check a file and find its records, in bounded memory. Close the result, or use it in a `with` statement.

    Raises InvalidJob with the field `path` (no readable regular file, unknown ending) or `content` (empty, too large,
    not of the type of its name, malformed, a record that is too large).
    """
    _, ending = split_name(path)
    if ending not in ENDINGS:
        raise refusal(f"expected a file name that ends in {', '.join(ENDINGS)}", "path")
    file = _open(path)
    try:
        return _inspect(path, ending, file)
    except BaseException as error:
        file.close()
        if isinstance(error, OSError):
            raise refusal(f"cannot be read: {error.strerror or 'input or output failed'}", "path") from None
        raise


def _inspect(path: Path, ending: str, file: BinaryIO) -> Upload:
    stamp = stamp_of(file)
    size, sha256 = _digest(file)
    _check_head(file, ending)
    found = Found()
    records = reader_for(ending)(file, found)
    if ending == ".xls":
        found.verbatim = False
        found.notes.insert(0, "read as .xls, sent as .xlsx")
    return Upload(
        path=path,
        filename=path.name,
        type=cast("FileType", "xlsx" if ending == ".xls" else ending[1:]),
        size=size,
        sha256=sha256,
        rows=len(records),
        header=found.header,
        notes=tuple(found.notes),
        records=records,
        original=file,
        stamp=stamp,
        verbatim=found.verbatim,
    )


def reader_for(ending: str) -> Callable[[BinaryIO, Found], Records]:
    """Return the reader of a type. Raises InvalidJob if its package is not installed."""
    if ending == ".csv":
        return read_csv
    if ending in (".xls", ".xlsx"):
        return read_workbook
    try:
        from gaugepost.files.xml_reader import read_xml  # noqa: PLC0415
    except ImportError:
        raise missing("defusedxml") from None
    return read_xml


def _open(path: Path) -> BinaryIO:
    """Open a regular file. Raises InvalidJob for anything else. Without O_NONBLOCK a pipe would wait for a writer."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no file can have this name"
        raise refusal(f"cannot be read: {reason}", "path") from None
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        os.close(number)
        raise refusal("expected a readable regular file", "path")
    file = os.fdopen(number, "rb")
    if status.st_size > MAX_FILE:
        file.close()
        raise refusal(f"expected at most {MAX_FILE:,} bytes, it has {status.st_size:,}")
    return file


def stamp_of(file: BinaryIO) -> tuple[int, int]:
    """Return size and time of change of an open file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _digest(file: BinaryIO) -> tuple[int, str]:
    digest, size, blank = hashlib.sha256(), 0, True
    for chunk in chunks(file):
        digest.update(chunk)
        size += len(chunk)
        blank = blank and not chunk.strip()
        if size > MAX_FILE:
            raise refusal(f"expected at most {MAX_FILE:,} bytes")
    if blank:
        raise refusal("the file has only blank lines" if size else "the file is empty")
    return size, digest.hexdigest()


def _check_head(file: BinaryIO, ending: str) -> None:
    file.seek(0)
    kind = kind_of(file.read(_HEAD))
    if kind == "ole" and is_protected(chunks(file)):
        raise refusal(PASSWORD)
    if problem := mismatch(ending, kind):
        raise problem
