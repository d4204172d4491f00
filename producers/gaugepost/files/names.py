"""The names of files: which endings CustomerGauge takes, and where a name's ending begins."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

ENDINGS = (".csv", ".xls", ".xlsx", ".xml")


def split_name(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Split the name of a file into what is before its ending, and the ending in lower case with its dot.

    `.csv` has no ending, `..csv` has one: pathlib changed its answer to the second with Python 3.14, and a producer
    and a worker of different versions must agree on what they accept.
    """
    name = PurePath(path).name
    stem, _, ending = name.rpartition(".")
    return (stem, f".{ending.lower()}") if stem else (name, "")
