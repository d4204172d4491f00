"""After the upload: CustomerGauge's messages about records, and the records themselves to mend and send again."""

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
"""What CustomerGauge calls the first record. Not documented: both samples begin at 2 and none has a 1, as if the
header were line 1 (fact sheet 2.7). A setting should allow 1."""

_MESSAGE = re.compile(r"\s*record\s+(\d{1,9})\s*:\s*(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class RowMessage:
    """What CustomerGauge said about one record: `row` is its number in the user's file, None if that is not sure."""

    row: int | None
    text: str


def read_messages(
    logs: Sequence[str], part_rows: int, first_row: int, *, record_number_base: int = RECORD_NUMBER_BASE
) -> list[RowMessage]:
    """Map `Record 17: reason` of a part's statistics to the record numbers of the user's file.

    A number that cannot be in this part under this base proves the base wrong. Then no number of the part is
    trusted (a file of "rejected" records off by one would be worse than none): each row is None, each text whole.
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
    """Return what CustomerGauge said of each record, by its number in the user's file."""
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
    """Write one file of the parts' type with just these records (numbers of the user's file) under the header.

    `why`: what to say of each record in a column of its own.

    The parts are of one upload, so of one type with one header; those without such a record are not read.
    Raises InvalidJob when a number is in none of the parts, or when there is none.
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
    """Give each part with the number at which the next begins."""
    ordered = sorted(parts, key=lambda part: part.first_row)
    ends = [part.first_row for part in ordered[1:]] + [sys.maxsize]
    return zip(ordered, ends, strict=True)


def _read(part: Part, found: Found) -> Records:
    """Find the records of a part."""
    with tempfile.TemporaryFile() as file:
        file.write(part.content)
        file.flush()
        # the records keep a descriptor of their own, so that their file is closed with them
        return reader_for(f".{part.type}")(os.fdopen(os.dup(file.fileno()), "rb"), found)
