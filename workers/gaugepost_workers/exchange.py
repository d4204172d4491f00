"""One HTTP exchange of a job with its verdict, and the attempts that the history gets of exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from gaugepost.transitions import Attempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gaugepost.ledger import Claimed
    from gaugepost_tasks.http_messages import Answer, Judgement

log = structlog.get_logger("gaugepost.attempt")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP exchange and its verdict. It began `at` Unix time in ms, and at `began` monotonic seconds."""

    answer: Answer
    judgement: Judgement
    at: int
    began: float | None = None


def attempts_of(claimed: Claimed, exchanges: Sequence[Exchange], *, last_counts: bool) -> tuple[Attempt, ...]:
    """Return an attempt for each exchange, numbered after the job's earlier ones.

    Only the last one can count against the job's schedule, and does if `last_counts`.
    """
    first, last = claimed.history.last_n + 1, len(exchanges) - 1
    return tuple(_attempt(first + i, one, counted=last_counts and i == last) for i, one in enumerate(exchanges))


def _attempt(n: int, exchange: Exchange, *, counted: bool) -> Attempt:
    answer, judgement = exchange.answer, exchange.judgement
    return Attempt(
        n=n,
        at=exchange.at,
        ms=answer.ms,
        status=answer.status,
        verdict=judgement.verdict,
        message=judgement.message,
        counted=counted,
        field_errors=judgement.field_errors,
    )


def log_attempts(claimed: Claimed, attempts: Iterable[Attempt]) -> None:
    """Log each attempt of a job: ids, status and verdict, no data."""
    for attempt in attempts:
        log.info(
            "attempt",
            job=claimed.id,
            kind=claimed.job.kind,
            region=str(claimed.job.region),
            configuration=claimed.job.mapping,
            n=attempt.n,
            status=attempt.status,
            verdict=str(attempt.verdict),
            ms=attempt.ms,
        )
