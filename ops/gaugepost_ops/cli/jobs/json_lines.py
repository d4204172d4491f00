"""Reads jobs from JSON lines in two passes of bounded memory: all are checked before the first one is enqueued."""

from __future__ import annotations

import codecs
import json
import os
import shutil
import stat
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gaugepost.admission import check_region
from gaugepost.errors import InvalidJob, Problem
from gaugepost.files import PART_BYTES
from gaugepost.jobs import AnyJob, File, parse_job_json
from gaugepost.ledger import Entry
from gaugepost_ops.cli.common import Exit, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from gaugepost.mappings import Mappings
    from gaugepost.regions import Region

MAX_LINE = 1_000_000
MAX_FILE_LINE = (PART_BYTES + 2) // 3 * 4 + 65_536
"""A content at its limit in base64, and room for the rest: for slashes that some writers escape, too."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was read, with its end; `data` is only its beginning if it is longer than any line may be."""

    number: int
    data: bytes

    @property
    def length(self) -> int:
        """Bytes without the end of the line."""
        return len(self.data.rstrip(b"\r\n"))

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing on it."""
        return not self.data or self.data.isspace()


def _discard(_: bytes) -> None:
    """Take the rest of a line that is too long, and forget it."""


def read_lines(stream: IO[bytes], overflow: Callable[[bytes], object] = _discard) -> Iterator[Line]:
    """Walk the lines. What is cut off a line that is too long goes to `overflow`, after the line itself was taken."""
    longest = MAX_FILE_LINE + len(b"\r\n")
    for number in count(1):
        data = stream.readline(longest)
        if not data:
            return
        yield Line(number, data)
        while len(data) == longest and not data.endswith(b"\n"):
            data = stream.readline(longest)
            overflow(data)


@contextmanager
def open_rereadable(name: str) -> Iterator[IO[bytes]]:
    """Open a file that can be read twice; stdin (`-`) and pipes are spooled first. Raises Failure."""
    try:
        stream = _rereadable(name)
    except OSError as error:
        raise Failure(Exit.USAGE, f"{name}: cannot be read: {error.strerror}") from None
    with stream:
        yield stream


def _rereadable(name: str) -> IO[bytes]:
    with ExitStack() as stack:
        source = sys.stdin.buffer if name == "-" else stack.enter_context(Path(name).open("rb"))
        if name != "-" and stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            stack.pop_all()
            return source
        spool = tempfile.TemporaryFile()  # noqa: SIM115 - whoever asked closes it
        shutil.copyfileobj(source, spool, 1 << 20)
        spool.seek(0)
        return spool


def read_job(line: Line, regions: Collection[Region]) -> AnyJob:
    """Read the job on a line, as cheaply as the second pass needs it. Raises InvalidJob."""
    if line.length > MAX_FILE_LINE:
        raise _too_long()
    data = line.data.removeprefix(codecs.BOM_UTF8) if line.number == 1 else line.data
    job = parse_job_json(data)
    if line.length > MAX_LINE and not (isinstance(job, File) and job.content_base64):
        raise _too_long()
    check_region(job.region, regions)
    return job


def _too_long() -> InvalidJob:
    most = f"expected a line of at most {MAX_LINE:,} bytes ({MAX_FILE_LINE:,} with content_base64)"
    return InvalidJob([Problem("", most)])


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidJob([Problem("", "expected each key only once in an object")])
    return found


def _refuse_repeated_keys(line: Line) -> None:
    """Refuse a line of which one value would be lost in silence. It is JSON, as `read_job` has found."""
    json.loads(line.data.decode("utf-8-sig"), object_pairs_hook=_unique_keys, parse_int=str, parse_float=str)


@dataclass(slots=True)
class Checked:
    """What the first pass found: one byte a line, 1 where a job is fit to be enqueued."""

    fit: bytearray = field(default_factory=bytearray)
    good: int = 0
    bad: int = 0


def check(
    stream: IO[bytes],
    regions: Collection[Region],
    on_refused: Callable[[Line, InvalidJob], None],
    overflow: Callable[[bytes], object] = _discard,
    on_read: Callable[[int], None] = lambda _: None,
    mappings: Mappings | None = None,
) -> Checked:
    """Check all lines; `on_refused` is called for each that is not fit, `on_read` with the bytes of each."""
    checked = Checked()
    for line in read_lines(stream, overflow):
        on_read(len(line.data))
        problem = None if line.is_blank else _problem(line, regions, mappings)
        is_fit = not line.is_blank and problem is None
        checked.fit.append(is_fit)
        checked.good += is_fit
        if problem is not None:
            checked.bad += 1
            on_refused(line, problem)
    return checked


def _problem(line: Line, regions: Collection[Region], mappings: Mappings | None) -> InvalidJob | None:
    try:
        job = read_job(line, regions)
        _refuse_repeated_keys(line)
        Entry.of(job, mappings)
    except InvalidJob as problem:
        return problem
    return None


@dataclass(frozen=True, slots=True)
class NumberedJob:
    """A job, the line it stands on, and the bytes it will take on its way."""

    line: int
    job: AnyJob
    size: int


def fit_jobs(stream: IO[bytes], checked: Checked, regions: Collection[Region]) -> Iterator[NumberedJob]:
    """Walk the jobs that the first pass found fit. Raises Failure if the file is another one by now."""
    stream.seek(0)
    found = 0
    for line in read_lines(stream):
        if line.number > len(checked.fit):
            return
        if checked.fit[line.number - 1]:
            found += 1
            yield _numbered(line, regions)
    if found < checked.good:
        raise Failure(Exit.FAILED, "the input has become shorter while it was read")


def _numbered(line: Line, regions: Collection[Region]) -> NumberedJob:
    try:
        job = read_job(line, regions)
    except InvalidJob as problem:
        raise changed_since_check(line.number, problem) from None
    return NumberedJob(line.number, job, len(line.data) + (PART_BYTES if isinstance(job, File) else 0))


def changed_since_check(number: int, problem: InvalidJob) -> Failure:
    """Make the failure of a line that was fit when it was checked, and is not any more."""
    return Failure(Exit.FAILED, f"line {number}: {problem} (it has changed since it was checked)")


BATCH_JOBS = 200
BATCH_BYTES = 8_000_000


def batches(jobs: Iterator[NumberedJob]) -> Iterator[list[NumberedJob]]:
    """Cut the jobs into what goes to Redis at once: bounded in number and in bytes, since files are large."""
    batch: list[NumberedJob] = []
    size = 0
    for numbered in jobs:
        if batch and (len(batch) == BATCH_JOBS or size + numbered.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(numbered)
        size += numbered.size
    if batch:
        yield batch
