"""Claims: the jobs that a worker has claimed under leases, as the scripts return them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gaugepost.encryption import CLEAR
from gaugepost.errors import DataSealed
from gaugepost.jobs import AnyJob, parse_job_json
from gaugepost.jobs.base import SealedJob
from gaugepost.ledger.history import History, read_history
from gaugepost.ledger.unreadable import UnreadableJob, read_each
from gaugepost.transitions import Phase
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.encryption import Cipher


@dataclass(frozen=True, slots=True)
class Claimed:
    """One job that a worker has claimed, under a lease and this fencing token.

    `fence`: the fencing token. `holder`: a random name of the claim; after a fail-over of Redis two claims may have the
    same fencing token. `enqueued_at`: Unix ms. `probe`: the scope of the hold for which this job is the probe (None: no
    probe); `probe_verdict`: the verdict of that hold. A file with a `phase` was sent: the worker must read its upload
    statistics. `job`: a SealedJob if this process lacks its key. The encrypted parts of `history` stay encrypted.
    """

    id: str
    fence: int
    enqueued_at: int
    job: AnyJob | SealedJob = field(repr=False)
    history: History = field(repr=False)
    probe: str | None = None
    probe_verdict: Verdict | None = None
    phase: Phase = Phase.NONE
    holder: str = ""


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The jobs of one claim, how many ready jobs are left, and the claimed jobs that cannot be parsed."""

    jobs: list[Claimed]
    left: int
    unreadable: tuple[UnreadableJob, ...] = ()


@dataclass(frozen=True, slots=True)
class EndedLease:
    """A claimed job whose lease has ended. `once`: must not be sent twice. `marked`: a worker may have sent it."""

    claimed: Claimed
    once: bool
    marked: bool


def _read_job(text: bytes, cipher: Cipher, *, once: bool) -> AnyJob | SealedJob:
    """Decrypt and parse a job; without the key, make a SealedJob of its readable fields and `once`."""
    try:
        return parse_job_json(cipher.decrypt_job(text))
    except DataSealed:
        found = json.loads(text)
        clear = {name: found.get(name) for name in CLEAR}
        on_unknown = "hold" if once and found["kind"] != "file" else "retry"  # a file is searched in the statistics
        return SealedJob.model_validate(clear | {"on_unknown": on_unknown})


def _read_claimed(
    row: Sequence[bytes], cipher: Cipher, probe: bytes, verdict: bytes, phase: bytes = b"", *, once: bool = False
) -> Claimed:
    job_id, fence, holder, stamp, job, history = row
    return Claimed(
        id=job_id.decode(),
        fence=int(fence),
        enqueued_at=int(stamp) // 1000,
        job=_read_job(job, cipher, once=once),
        history=read_history(history),
        probe=probe[1:].decode() if probe else None,
        probe_verdict=Verdict(verdict.decode()) if verdict else None,
        phase=Phase(phase.decode()),
        holder=holder.decode(),
    )


def read_claim(answer: list[bytes], cipher: Cipher, holder: str) -> ClaimResult:
    """Parse the answer of claim.lua. `holder`: the random name of the claim."""
    starts = range(1, len(answer), 8)
    rows = [[*answer[start : start + 2], holder.encode(), *answer[start + 2 : start + 8]] for start in starts]
    jobs, unreadable = read_each(rows, lambda row: _read_claimed(row[:6], cipher, *row[6:]), lambda row: bool(row[8]))
    return ClaimResult(jobs, int(answer[0]), unreadable)


def read_ended_leases(answer: list[bytes], cipher: Cipher) -> tuple[int, list[EndedLease], tuple[UnreadableJob, ...]]:
    """Parse the answer of ended_leases.lua: the number of extended leases, the ended ones, the unreadable jobs."""
    rows = [answer[start : start + 10] for start in range(1, len(answer), 10)]
    ended, unreadable = read_each(rows, lambda row: _read_ended_lease(row, cipher), lambda row: row[7] == b"1")
    return int(answer[0]), ended, unreadable


def _read_ended_lease(row: Sequence[bytes], cipher: Cipher) -> EndedLease:
    once = row[6] == b"1"
    return EndedLease(_read_claimed(row[:6], cipher, row[8], row[9], once=once), once, row[7] == b"1")
