"""Reading JSON lines: what a line is, which lines are refused, how much is read and sent at a time."""

from __future__ import annotations

import base64
import io
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost.errors import InvalidJob
from gaugepost.files import PART_BYTES
from gaugepost.regions import Region
from gaugepost_ops.cli.common import Failure
from gaugepost_ops.cli.jobs.json_lines import (
    BATCH_BYTES,
    BATCH_JOBS,
    MAX_FILE_LINE,
    MAX_LINE,
    Checked,
    Line,
    batches,
    check,
    fit_jobs,
    open_rereadable,
    read_job,
    read_lines,
)

if TYPE_CHECKING:
    from pathlib import Path

ALL = tuple(Region)
RECORD: dict[str, Any] = {
    "kind": "record",
    "region": "eu",
    "configuration": "map",
    "record": {"Email": "a@example.com"},
}


def as_lines(*jobs: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(job).encode() + b"\n" for job in jobs)


def refusals(data: bytes, regions: tuple[Region, ...] = ALL) -> tuple[Checked, list[tuple[int, str]]]:
    printed: list[tuple[int, str]] = []
    checked = check(io.BytesIO(data), regions, lambda line, problem: printed.append((line.number, str(problem))))
    return checked, printed


def padded(length: int) -> bytes:
    empty = as_lines(RECORD | {"record": {"Email": ""}}).rstrip()
    return as_lines(RECORD | {"record": {"Email": "x" * (length - len(empty))}}).rstrip()


def test_blank_lines_are_skipped_but_counted() -> None:
    checked, printed = refusals(b"\n  \r\n" + as_lines(RECORD) + b"\n{}\n")
    assert (checked.good, checked.bad, len(checked.fit)) == (1, 1, 5)
    assert printed == [(5, "kind: required")]


def test_the_last_line_needs_no_end_and_a_windows_file_is_read() -> None:
    data = b"\xef\xbb\xbf" + as_lines(RECORD).replace(b"\n", b"\r\n") + as_lines(RECORD).rstrip()
    assert refusals(data)[0].good == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"not json", "expected one JSON object"),
        (b"[1]", "expected"),
        (b"\xff\xfe{}", "expected one JSON object"),
        (b'{"kind": "record", "region": "eu", "configuration": "c"}', "record: required"),
        (b'{"kind": "record", "region": "eu", "configuration": "c", "record": {"x": 1}, "recrod": 1}', "recrod"),
        (b'{"kind": "record", "region": "eu", "region": "us", "configuration": "c", "record": {"x": 1}}', "only once"),
        (b'{"kind": "record", "region": "eu", "configuration": "c", "record": {"x": 1, "x": 2}}', "only once"),
        (b'{"kind": "file", "region": "eu", "family": "contact", "path": "no/such.csv"}', "path: cannot be read"),
        (
            b'{"kind": "file", "region": "eu", "family": "contact", "filename": "a.csv", "content_base64": "?"}',
            "base64",
        ),
    ],
)
def test_refusal_names_the_expected_value(line: bytes, expected: str) -> None:
    checked, printed = refusals(line)
    assert checked.bad == 1
    assert expected in printed[0][1]


def test_a_region_that_is_not_served_is_refused() -> None:
    assert refusals(as_lines(RECORD | {"region": "au"}), (Region.EU, Region.US))[1] == [
        (1, "region: not served here: expected one of GAUGEPOST_REGIONS (eu, us)")
    ]


def test_a_line_may_be_one_megabyte_and_not_a_byte_more() -> None:
    assert refusals(padded(MAX_LINE) + b"\r\n")[0].good == 1
    assert "at most 1,000,000 bytes" in refusals(padded(MAX_LINE + 1) + b"\r\n")[1][0][1]


def test_largest_file_fits_on_a_line_and_a_larger_one_is_refused() -> None:
    def upload(size: int) -> bytes:
        rows = (b"Email\n" + (b"x" * 399_999 + b"\n") * (size // 400_000 + 1))[: size - 1] + b"\n"
        content = base64.b64encode(rows).decode()
        job = {"kind": "file", "region": "eu", "family": "contact", "filename": "a.csv", "content_base64": content}
        return as_lines(job).replace(b"/", b"\\/")

    assert refusals(upload(PART_BYTES))[0].good == 1
    assert refusals(upload(PART_BYTES + 1))[0].bad == 1
    assert refusals(upload(PART_BYTES * 2))[0].bad == 1


@pytest.mark.parametrize("length", [MAX_FILE_LINE - 1, MAX_FILE_LINE, MAX_FILE_LINE + 1, MAX_FILE_LINE * 3 + 7])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_too_long_line_is_one_refused_line_and_kept_whole(length: int, end: bytes) -> None:
    long = b"x" * length + end
    data = as_lines(RECORD) + long + (as_lines(RECORD) if end else b"")
    kept = io.BytesIO()
    checked = check(io.BytesIO(data), ALL, lambda line, _: kept.write(line.data), kept.write)
    assert (checked.good, checked.bad) == (2 if end else 1, 1)
    assert kept.getvalue() == long


def test_no_more_of_a_line_is_read_than_a_line_may_be() -> None:
    lines = list(read_lines(io.BytesIO(b"x" * (MAX_FILE_LINE * 4))))
    assert [len(line.data) <= MAX_FILE_LINE + 2 for line in lines] == [True]


def test_second_pass_yields_only_lines_that_the_first_found_valid() -> None:
    data = as_lines(RECORD) + b"broken\n\n" + as_lines(RECORD)
    checked, _ = refusals(data)
    assert [one.line for one in fit_jobs(io.BytesIO(data + as_lines(RECORD)), checked, ALL)] == [1, 4]


def test_input_that_changes_between_the_passes_is_refused() -> None:
    checked, _ = refusals(as_lines(RECORD, RECORD))
    with pytest.raises(Failure, match=r"line 2: .*changed after"):
        list(fit_jobs(io.BytesIO(as_lines(RECORD) + b"broken\n"), checked, ALL))
    with pytest.raises(Failure, match="shorter"):
        list(fit_jobs(io.BytesIO(as_lines(RECORD)), checked, ALL))


def test_batches_are_bounded_in_number() -> None:
    data = as_lines(*[RECORD] * (BATCH_JOBS * 2 + 1))
    sizes = [len(batch) for batch in batches(fit_jobs(io.BytesIO(data), refusals(data)[0], ALL))]
    assert sizes == [BATCH_JOBS, BATCH_JOBS, 1]


def test_batches_are_bounded_in_bytes_whatever_a_path_leads_to(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("Email\na@example.com\n")
    data = as_lines(*[{"kind": "file", "region": "eu", "family": "contact", "path": str(file)}] * 10)
    found = list(batches(fit_jobs(io.BytesIO(data), refusals(data)[0], ALL)))
    assert sum(map(len, found)) == 10
    assert all(sum(one.size for one in batch) <= BATCH_BYTES for batch in found)
    assert max(map(len, found)) * PART_BYTES <= BATCH_BYTES


def test_a_pipe_is_spooled_so_that_it_can_be_read_twice(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"one\n")
    os.close(writer)
    with open_rereadable(f"/dev/fd/{reader}") as stream:
        assert (stream.read(), stream.seek(0), stream.read()) == (b"one\n", 0, b"one\n")
    os.close(reader)


def test_an_input_that_cannot_be_read_is_a_wrong_call(tmp_path: Path) -> None:
    for name in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(Failure, match="cannot be read") as failure, open_rereadable(str(name)):
            pass
        assert failure.value.code == 2


def test_a_refusal_never_repeats_a_value() -> None:
    line = Line(1, b'{"kind": "response", "region": "eu", "fields": {"Email": ["secret@example.com"]}, "comment": 7}')
    with pytest.raises(InvalidJob) as refusal:
        read_job(line, ALL)
    assert "secret" not in str(refusal.value)
