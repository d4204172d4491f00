"""The limits of uploads: those of CustomerGauge, and those of gaugepost."""

from __future__ import annotations

from gaugepost.errors import InvalidJob, Problem

PART_ROWS = 2_000
"""Records in one upload, at most (docs/customergauge.md, "Files")."""
PART_BYTES = 2_000_000
"""Bytes in one upload, at most. The source says "2 MB" and not which; the smaller number is safe."""

MAX_FILE = 200_000_000
"""Bytes of a file, at most; a larger file is refused before it is read."""
MAX_RECORDS = 2_000_000
"""Records of a file, at most: 1,000 parts take a week of a region's upload lane. The limit also bounds the memory for
positions (24 MB), and the time for a file of millions of short lines."""
MAX_NAME = 100
"""Characters of a part's name, at most; the field `filename` of a job allows 128."""

CHUNK = 1 << 18


def refusal(expected: str, field: str = "content") -> InvalidJob:
    """Return the error for a refused file. Never put a value from the file into its text: it may be personal data."""
    return InvalidJob([Problem(field, expected)])


def missing(package: str) -> InvalidJob:
    """Return the error for a type whose library is not installed; the extra `files` has it."""
    return refusal(f"this type of file needs {package}: pip install 'gaugepost[files]'")
