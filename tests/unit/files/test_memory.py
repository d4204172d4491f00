"""Measure memory in a process of its own: pytest's own memory would hide it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from support.files import NASTY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.starts_process
MEASURE = """
import json, pathlib, resource, sys, time
import gaugepost.files as files
from gaugepost.errors import InvalidJob
def megabytes(who): return resource.getrusage(who).ru_maxrss / 1000
base, refused, parts, began = megabytes(resource.RUSAGE_SELF), 0, 0, time.process_time()
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        with files.inspect(path) as upload:
            for plan in files.split(upload):
                parts += 1
                assert len(files.content(upload, plan)) == plan.bytes <= 2_000_000
    except InvalidJob:
        refused += 1
used = megabytes(resource.RUSAGE_SELF) - base
child = megabytes(resource.RUSAGE_CHILDREN)
seconds = time.process_time() - began
print(json.dumps(dict(used=used, child=child, refused=refused, parts=parts, seconds=seconds)))
"""


def measure(folder: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", MEASURE, str(folder)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def csv_of(path: Path, rows: int) -> None:
    with path.open("w", newline="") as file:
        file.write("Email,First Name,Last Name,Company,Score,Date,Comment\r\n")
        for row in range(rows):
            file.write(f'user{row}@example.com,Zoë,"Doe, Jr",ACME Corporation,{row % 11},2024-01-01 10:00:00,')
            file.write(f'"a ""quoted"" text\nof {row} lines and some words"\r\n')


def test_all_nasty_files_together_stay_in_little_memory_and_none_gets_through(tmp_path: Path) -> None:
    for name, (content, _) in NASTY.items():
        (tmp_path / name).write_bytes(content)
    found = measure(tmp_path)
    assert (found["refused"], found["parts"]) == (len(NASTY), 0)
    assert found["used"] < 100
    assert found["child"] < 500


def test_100000_rows_become_50_parts_in_little_memory(tmp_path: Path) -> None:
    csv_of(tmp_path / "export.csv", 100_000)
    found = measure(tmp_path)
    assert found["parts"] == 50
    assert found["used"] < 30
    assert found["seconds"] < 3


@pytest.mark.parametrize("name", ["lines.csv", "quotes.csv", "spaces.csv", "tags.xml", "records.xml", "latin.csv"])
def test_sixty_megabytes_made_to_hurt_stay_in_bounded_memory(name: str, tmp_path: Path) -> None:
    beginning, unit, end = {
        "lines.csv": (b"a\n", b"1\n", b""),  # more records than are taken
        "quotes.csv": (b"a\n", b'"\n"\n', b""),
        "spaces.csv": (b"a\n1\n", b" \n", b""),
        "tags.xml": (b"<records><record>", b"<a/>", b"</record></records>"),
        "records.xml": (b"<records>", b"<record/>", b"</records>"),
        "latin.csv": (b"a,b\n", b"Andr\xe9,\xe9\n" * 1000, b""),
    }[name]
    with (tmp_path / name).open("wb") as file:
        file.write(beginning)
        piece = unit * (1_000_000 // len(unit))
        for _ in range(60):
            file.write(piece)
        file.write(end)
    found = measure(tmp_path)
    assert found["refused"] + found["parts"] >= 1
    assert found["used"] < 150
    assert found["seconds"] < 30
