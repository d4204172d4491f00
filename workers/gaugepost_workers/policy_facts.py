"""Gathers what the policy needs to know of a claimed job beside the answer."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from gaugepost_tasks.answers.verdicts import may_be_done
from gaugepost_tasks.backoff import UPLOAD_POLL
from gaugepost_tasks.policy import Facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gaugepost.ledger import Claimed
    from gaugepost.verdict import Verdict


def facts_of(
    claimed: Claimed,
    schedules: Mapping[Verdict, Sequence[float]],
    poll: Sequence[float] = UPLOAD_POLL,
    fingerprint: str | None = None,
) -> Facts:
    """Return the facts of a job. `schedules`: verdict → back-off delays in seconds."""
    return Facts(
        job=claimed.job,
        attempts=claimed.history.since_replay(),
        may_be_done=may_be_done(claimed.job, claimed.history.attempts()),
        probe=claimed.probe,
        probe_about=claimed.probe_verdict,
        rand=random.random(),  # noqa: S311 - jitter
        schedules=schedules,
        poll=poll,
        fingerprint=fingerprint,
    )
