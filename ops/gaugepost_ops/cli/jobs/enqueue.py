"""`gaugepost enqueue`: check all lines, then send them in batches; with `--wait`, wait until every job has ended."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import IO, TYPE_CHECKING, Annotated

import typer

from gaugepost.errors import GaugepostError
from gaugepost.mappings import Mappings
from gaugepost.together import Together
from gaugepost_ops.cli.common import Exit, Failure, note, open_producer, operator_settings
from gaugepost_ops.cli.jobs.batch_enqueue import BatchEnqueuer
from gaugepost_ops.cli.jobs.json_lines import Checked, Line, batches, check, fit_jobs, open_rereadable
from gaugepost_ops.cli.jobs.result_poll import ResultPoll
from gaugepost_ops.cli.output.formatting import counted
from gaugepost_ops.cli.output.progress import bar, bar_beside_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.client import Producer
    from gaugepost.errors import InvalidJob
    from gaugepost.settings import Settings

_NEXT_ACTION = (
    "correct them (`gaugepost schema` prints what a job must be), or enqueue the others with --skip-invalid REJECTS"
)
_LONG_BYTES, _LONG_LINES = 2_000_000, 2_000

BatchName = Annotated[
    str | None, typer.Option(help="A name for all these jobs; it replaces their own.", metavar="NAME")
]
CanarySize = Annotated[
    int | None,
    typer.Option(help="Send this many jobs of the batch first; the others wait until these have ended.", metavar="N"),
]
Tolerance = Annotated[
    float | None, typer.Option(help="How many of the canary may be not clean; default: 5.", metavar="PERCENT")
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Print the line of a job when the job has ended, with verdict and result.")
]


def enqueue(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines, one job each; - is stdin.")],
    skip_invalid: Annotated[
        Path | None,
        typer.Option(
            metavar="REJECTS",
            help="Enqueue the valid lines, and write the refused lines unchanged to this file.",
        ),
    ] = None,
    batch: BatchName = None,
    canary: CanarySize = None,
    tolerance: Tolerance = None,
    *,
    wait: Wait = False,
) -> int:
    """Queue jobs from JSON lines. Prints one line for each job.

    Checks all lines first. If one is refused, names it on stderr and enqueues nothing, unless --skip-invalid is given.
    It is safe to enqueue a file again if its jobs have an idempotency_key.

    With --canary, the jobs after the first N wait. When these have ended, the others follow, or stay if too many of
    the first died, got no answer or were delivered with a warning: `gaugepost batch NAME` says which.

    Example: `gaugepost enqueue jobs.jsonl --skip-invalid rejects.jsonl > receipts.jsonl`
    """
    together = Together.of(batch, canary, tolerance)
    settings = operator_settings()
    with open_rereadable(file) as stream, rejects_to(skip_invalid, stream) as rejects:
        checked = _check(stream, rejects, settings)
        if checked.bad and rejects is None:
            refused = counted(checked.bad, "line was", "lines were")
            raise Failure(Exit.USAGE, f"nothing was enqueued: {refused} refused", _NEXT_ACTION)
        if not checked.good:
            note(f"nothing was enqueued: {file} has no valid job")
            return Exit.FAILED if checked.bad else Exit.DONE
        with open_producer(settings) as producer:
            all_well = _send(producer, stream, checked, together, wait=wait)
    return Exit.DONE if all_well and not checked.bad else Exit.FAILED


@contextmanager
def rejects_to(path: Path | None, stream: IO[bytes]) -> Iterator[IO[bytes] | None]:
    """Create or empty the file for refused lines, before any job is sent. Raises Failure if it cannot be written."""
    with ExitStack() as stack:
        try:
            if path is not None and path.exists() and os.path.samestat(path.stat(), os.fstat(stream.fileno())):
                raise Failure(Exit.USAGE, f"--skip-invalid: {path} is the input: name another file")
            rejects = stack.enter_context(path.open("wb")) if path is not None else None
        except OSError as error:
            raise Failure(Exit.USAGE, f"{path}: cannot be written: {error.strerror}") from None
        yield rejects


def _check(stream: IO[bytes], rejects: IO[bytes] | None, settings: Settings) -> Checked:
    def keep(data: bytes) -> None:
        if rejects is not None:
            rejects.write(data)

    def refuse(line: Line, problem: InvalidJob) -> None:
        note(f"line {line.number}: {problem}")
        keep(line.data)

    size = os.fstat(stream.fileno()).st_size
    with bar("checking", size, worth=_LONG_BYTES) as advance:
        checked = check(stream, settings.regions, refuse, keep, advance, Mappings.of(settings))
    if rejects is not None:
        rejects.flush()  # before any job is sent
    return checked


def _send(producer: Producer, stream: IO[bytes], checked: Checked, together: Together, *, wait: bool) -> bool:
    """Enqueue the valid jobs. With `wait`, wait until they have ended.

    Returns False if an idempotency key belongs to another job, or if `wait` found a job that was not delivered.
    """
    jobs = batches(fit_jobs(stream, checked, producer.settings.regions))
    poll = ResultPoll(producer) if wait else None
    try:
        with bar_beside_rows("enqueuing", checked.good, worth=_LONG_LINES) as advance:
            enqueuer = BatchEnqueuer(producer, poll, together)
            enqueuer.send(jobs, advance)
        if together.canary:
            note(f"the first jobs go out; the others wait for them: gaugepost batch {together.batch} --watch")
        if poll is None:
            return not enqueuer.conflicts
        if sys.stdout.isatty():
            note("waiting until all jobs have ended. Ctrl-C ends the waiting; the jobs go on")
        with bar_beside_rows("waiting", checked.good, worth=_LONG_LINES) as advance:
            return poll.run(advance) and not enqueuer.conflicts
    except (GaugepostError, Failure, KeyboardInterrupt):
        if poll is not None:
            poll.print_unfinished()
        raise
