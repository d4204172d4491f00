"""Names of files: the endings that CustomerGauge accepts, and how to split a name."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

ENDINGS = (".csv", ".xls", ".xlsx", ".xml")


def split_name(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Split the name of a file into stem and ending; the ending has its dot, in lower case.

    `.csv` has no ending, `..csv` has one. Do not use pathlib for this: its answer for `..csv` differs from Python 3.14
    on, and a producer and a worker of different versions must accept the same names.
    """
    name = PurePath(path).name
    stem, _, ending = name.rpartition(".")
    return (stem, f".{ending.lower()}") if stem else (name, "")
