"""Read jobs from JSON lines in two passes, with bounded memory: check all lines, then read the valid ones again."""

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
"""The longest legal content in base64, plus room for the other fields and for slashes that some writers escape."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was read, with its line break. If it is longer than is allowed, `data` is only its beginning."""

    number: int
    data: bytes

    @property
    def length(self) -> int:
        """Return the number of bytes without the line break."""
        return len(self.data.rstrip(b"\r\n"))

    @property
    def is_blank(self) -> bool:
        """Return whether the line is empty or has only white space."""
        return not self.data or self.data.isspace()


def _discard(_: bytes) -> None:
    """Do nothing: the default for the rest of a line that is too long."""


def read_lines(stream: IO[bytes], overflow: Callable[[bytes], object] = _discard) -> Iterator[Line]:
    """Yield the lines. For a line that is too long, yield its beginning, then call `overflow` with its other bytes."""
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
    """Open a file so that it can be read twice. Copies stdin (`-`) and pipes to a temporary file. Raises Failure."""
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
        spool = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        shutil.copyfileobj(source, spool, 1 << 20)
        spool.seek(0)
        return spool


def read_job(line: Line, regions: Collection[Region]) -> AnyJob:
    """Return the job on a line. It does only what both passes need. Raises InvalidJob."""
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
    """Raise InvalidJob if an object has a key twice, since one of its values would be lost. The line is valid JSON."""
    json.loads(line.data.decode("utf-8-sig"), object_pairs_hook=_unique_keys, parse_int=str, parse_float=str)


@dataclass(slots=True)
class Checked:
    """The result of the first pass. `fit` has one byte for each line: 1 if the line has a valid job."""

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
    """Check all lines. Call `on_read` with the length of each, and `on_refused` for each that is not valid."""
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
    """A job, the number of its line, and about how many bytes it needs on the way to Redis."""

    line: int
    job: AnyJob
    size: int


def fit_jobs(stream: IO[bytes], checked: Checked, regions: Collection[Region]) -> Iterator[NumberedJob]:
    """Yield the jobs that the first pass found valid. Raises Failure if the file has changed since."""
    stream.seek(0)
    found = 0
    for line in read_lines(stream):
        if line.number > len(checked.fit):
            return
        if checked.fit[line.number - 1]:
            found += 1
            yield _numbered(line, regions)
    if found < checked.good:
        raise Failure(Exit.FAILED, "the input became shorter after it was checked")


def _numbered(line: Line, regions: Collection[Region]) -> NumberedJob:
    try:
        job = read_job(line, regions)
    except InvalidJob as problem:
        raise changed_since_check(line.number, problem) from None
    return NumberedJob(line.number, job, len(line.data) + (PART_BYTES if isinstance(job, File) else 0))


def changed_since_check(number: int, problem: InvalidJob) -> Failure:
    """Return the failure for a line that was valid in the first pass and is not valid now."""
    return Failure(Exit.FAILED, f"line {number}: {problem} (the line changed after it was checked)")


BATCH_JOBS = 200
BATCH_BYTES = 8_000_000


def batches(jobs: Iterator[NumberedJob]) -> Iterator[list[NumberedJob]]:
    """Yield the jobs in batches that go to Redis in one call, bounded in number and in bytes, since files are large."""
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
