"""Check a file, split it into parts that CustomerGauge accepts, and extract rejected records.

This package uses no Redis, no jobs and no command line. Workbooks and XML need the extra `gaugepost[files]`.
"""

from __future__ import annotations

from gaugepost.files.limits import MAX_FILE, MAX_RECORDS, PART_BYTES, PART_ROWS
from gaugepost.files.rejected import RECORD_NUMBER_BASE, RowMessage, headings, read_messages, reasons, rejects
from gaugepost.files.splitting import content, split
from gaugepost.files.upload import FileType, Part, PartPlan, Upload
from gaugepost.files.validation import inspect

__all__ = [
    "MAX_FILE",
    "MAX_RECORDS",
    "PART_BYTES",
    "PART_ROWS",
    "RECORD_NUMBER_BASE",
    "FileType",
    "Part",
    "PartPlan",
    "RowMessage",
    "Upload",
    "content",
    "headings",
    "inspect",
    "read_messages",
    "reasons",
    "rejects",
    "split",
]
