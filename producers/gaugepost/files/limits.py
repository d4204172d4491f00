"""What CustomerGauge takes, and what this side is willing to read: one place for the numbers."""

from __future__ import annotations

from gaugepost.errors import InvalidJob, Problem

PART_ROWS = 2_000
"""Records in one upload (File APIs, fact sheet 2.1)."""
PART_BYTES = 2_000_000
"""Bytes in one upload: "2 MB", of which the source does not say which; the smaller is safe in both readings."""

MAX_FILE = 200_000_000
"""A larger file is refused before it is read."""
MAX_RECORDS = 2_000_000
"""1,000 parts, that is a week of a region's lane. It bounds the offsets kept in memory to 24 MB, and with them the
time that a file of millions of tiny lines can take."""
MAX_NAME = 100
"""Length of a part's name; a file job takes 128 characters."""

CHUNK = 1 << 18


def refusal(expected: str, field: str = "content") -> InvalidJob:
    """Make the error of a file that is not taken. The text never holds a value from the file: these are personal."""
    return InvalidJob([Problem(field, expected)])


def missing(package: str) -> InvalidJob:
    """Make the error of a type whose library is not installed: only the extra `files` brings it."""
    return refusal(f"this type of file needs {package}: pip install 'gaugepost[files]'")
