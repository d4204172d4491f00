"""XLS and XLSX: read the rows of the first sheet by `workbook_child` into a temporary file of JSON lines."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gaugepost.files import workbook_child
from gaugepost.files.csv_reader import header_notes, ragged_refusal
from gaugepost.files.limits import missing, refusal
from gaugepost.files.sheet_records import SheetRecords

if TYPE_CHECKING:
    from gaugepost.files.upload import Found

_GRACE = 10


def read_workbook(file: BinaryIO, found: Found) -> SheetRecords:
    """Find the records of a workbook's first sheet.

    Raises InvalidJob if the package is not installed, and for a workbook that is damaged, has a password, unpacks to
    too many bytes, has values right of the header, has formulas without values, or has no rows.
    """
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the upload closes it
    try:
        _spawn(file, spool)
        records = SheetRecords(spool)
        _take(_index(records, spool), found)
    except BaseException:
        spool.close()
        raise
    found.header = tuple(map(_plain, json.loads(records.head)))
    found.notes += header_notes(found.header, 0)
    return records


def _spawn(file: BinaryIO, spool: BinaryIO) -> None:
    spec = find_spec("python_calamine")
    if spec is None or spec.origin is None:
        raise missing("python-calamine")
    file.seek(0)
    command = [sys.executable, "-P", workbook_child.__file__, str(Path(spec.origin).parent.parent)]
    timeout = workbook_child.SECONDS + _GRACE
    try:
        done = subprocess.run(  # noqa: S603 - this package's own script
            command, stdin=file, stdout=spool, stderr=subprocess.PIPE, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise refusal(f"it could not be read within {timeout} seconds: save its first sheet as CSV") from None
    if done.returncode:
        starved = b"memory allocation" in done.stderr or b"MemoryError" in done.stderr
        raise refusal(workbook_child.too_large() if starved else workbook_child.DAMAGED)


def _index(records: SheetRecords, spool: BinaryIO) -> dict[str, Any]:
    """Add the position of each row to `records`, and return the child's report, which is the last line."""
    at, last, seen = 0, b"", 0
    spool.seek(0)
    for line in spool:
        if line.startswith(b"["):
            if seen:
                records.add(at, len(line))
            else:
                records.head = line
            seen += 1
        at, last = at + len(line), line
    report: dict[str, Any] = json.loads(last)
    return report


def _take(report: dict[str, Any], found: Found) -> None:
    if "problem" in report:
        raise refusal(report["problem"])
    if not report["width"]:
        raise refusal("its first sheet is empty: expected a header and at least one row")
    if not report["rows"]:
        raise refusal("its first sheet has a header and no row")
    if report["ragged"]:
        raise ragged_refusal(report["width"], report["ragged"], report["ragged_count"])
    others = report["others"]
    if others:
        named = ", ".join(f"'{name}'" for name in others)
        found.notes.append(f"first sheet '{report['sheet']}' used; not: {named}")
    if report.get("formulas"):
        found.notes.append("formulas are sent as their last calculated values")
    if report.get("errors"):
        found.notes.append("cells with an error, such as #N/A, are sent empty")
    if report["blank"]:
        found.notes.append(f"{report['blank']:,} blank line{'s' if report['blank'] > 1 else ''} skipped")
    found.verbatim = not (others or report.get("errors") or report["blank"] or report["leading"])


def _plain(cell: object) -> str:
    return str(next(iter(cell.values()))) if isinstance(cell, dict) else str(cell)
