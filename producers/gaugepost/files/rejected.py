"""Parse CustomerGauge's messages about records, and extract rejected records to correct and upload again."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gaugepost.files.limits import refusal
from gaugepost.files.upload import Found
from gaugepost.files.validation import reader_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from gaugepost.files.records import Records
    from gaugepost.files.upload import Part

RECORD_NUMBER_BASE = 2
"""CustomerGauge's number of the first record. Not documented. Both published samples begin at 2, as if the header were
line 1 (docs/customergauge.md, "Files"). The setting RECORD_NUMBER_BASE can change it."""

_MESSAGE = re.compile(r"\s*record\s+(\d{1,9})\s*:\s*(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class RowMessage:
    """CustomerGauge's message about one record. `row`: its number in the user's file, None if that is not certain."""

    row: int | None
    text: str


def read_messages(
    logs: Sequence[str], part_rows: int, first_row: int, *, record_number_base: int = RECORD_NUMBER_BASE
) -> list[RowMessage]:
    """Convert the record numbers in a part's messages (`Record 17: reason`) into those of the user's file.

    A number that cannot be in this part proves that `record_number_base` is wrong. Then all rows are None and all texts
    are complete: a file of "rejected" records that are off by one would be worse than none.
    """
    numbered = [(_MESSAGE.fullmatch(log), log) for log in logs]
    places = [int(match[1]) - record_number_base for match, _ in numbered if match]
    trusted = all(0 <= place < part_rows for place in places)
    return [
        RowMessage(first_row + int(match[1]) - record_number_base, match[2].strip())
        if match and trusted
        else RowMessage(None, log.strip())
        for match, log in numbered
    ]


REASON = "Rejected because"
"""The column that `rejects` adds."""


def reasons(messages: Iterable[str]) -> dict[int, str]:
    """Return number of a record in the user's file → CustomerGauge's messages about it."""
    found: dict[int, list[str]] = {}
    for message in messages:
        if match := _MESSAGE.fullmatch(message):
            found.setdefault(int(match[1]), []).append(match[2].strip())
    return {row: "; ".join(texts) for row, texts in found.items()}


def headings(part: Part) -> tuple[str, ...]:
    """Return the names of a part's columns."""
    found = Found()
    _read(part, found).close()
    return found.header


def rejects(parts: Iterable[Part], rows: Collection[int], why: Mapping[int, str] | None = None) -> bytes:
    """Return one file of the parts' type with the header and these records (numbers of the user's file).

    `parts`: of one upload, so they have the same type and header. `why`: texts for an additional column.
    Raises InvalidJob if `rows` is empty, or if a number is in none of the parts.
    """
    wanted = sorted(set(rows))
    picked: list[bytes] = []
    records: Records | None = None
    for part, until in _with_ends(parts):
        mine = wanted[bisect_left(wanted, part.first_row) : bisect_left(wanted, until)]
        if mine:
            records = _read(part, Found())
            picked += [records.pick(row - part.first_row) for row in mine if row - part.first_row < len(records)]
            records.close()
    if records is None or len(picked) < len(wanted):
        raise refusal(f"expected numbers of records in these parts; {len(wanted) - len(picked):,} are not", "rows")
    if why is not None:
        picked = records.add_cell(picked, REASON, [why.get(row, "") for row in wanted])
    return records.join(picked)


def _with_ends(parts: Iterable[Part]) -> Iterator[tuple[Part, int]]:
    """Return pairs of a part and the number of the first record of the next part."""
    ordered = sorted(parts, key=lambda part: part.first_row)
    ends = [part.first_row for part in ordered[1:]] + [sys.maxsize]
    return zip(ordered, ends, strict=True)


def _read(part: Part, found: Found) -> Records:
    """Find the records of a part."""
    with tempfile.TemporaryFile() as file:
        file.write(part.content)
        file.flush()
        # The records get their own descriptor, which they close.
        return reader_for(f".{part.type}")(os.fdopen(os.dup(file.fileno()), "rb"), found)
