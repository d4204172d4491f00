"""Why a job waits, until when, and which hold stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.jobs import JOBS
from gaugepost.ledger.unreadable import MS_DIGITS, parse_number
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.jobs.base import JobBase
    from gaugepost.ledger.holds import Hold

_READY = frozenset({JobState.QUEUED, JobState.WAITING})


def scopes_of_kind(model: type[JobBase]) -> tuple[str, str, str]:
    """Return the scopes of the holds that can stop all jobs of a kind."""
    return "", f"credentials:{model.needs}", f"endpoints:{model.endpoints}"


def hold_over(job: Mapping[str, Any], holds: Mapping[str, Hold], *, is_canary: bool = False) -> Hold | None:
    """Return the hold that would stop this job: on its region, credentials, endpoints, configuration or batch.

    `is_canary`: the hold of its batch does not stop it.
    """
    if not holds:
        return None
    scopes: tuple[str, ...] = (*scopes_of_kind(JOBS[job["kind"]]), f"configuration:{job.get('configuration', '')}")
    if "batch" in job and not is_canary:
        scopes += (f"batch:{job['batch']}",)
    return next((holds[scope] for scope in scopes if scope in holds), None)


def stopping_hold(
    state: JobState, text: Mapping[str, str], over: Hold | None, holds: Mapping[str, Hold]
) -> Hold | None:
    """Return the hold that stops a job: for a ready job the one over it, for a parked job the one it waits for."""
    if state in _READY:
        return over if over and text.get("probe") != over.scope else None
    return holds.get(text["scope"]) if "scope" in text else None


def reason_and_end(
    state: JobState, text: Mapping[str, str], over: Hold | None, holds: Mapping[str, Hold]
) -> tuple[str | None, int | None]:
    """Return why and until when a job waits: by its own reason, or by the hold that stops it."""
    if over and stopping_hold(state, text, over, holds) is over and state is not JobState.PARKED:
        return f"hold: {over.reason}", over.ends
    if state is JobState.WAITING:
        return ("slot" if text.get("lane", "").startswith("files") else "lane"), None
    if "scope" in text:
        return _under_hold(text, holds.get(text["scope"]))
    return text.get("reason"), parse_number(text, "until", MS_DIGITS) if "until" in text else None


def _under_hold(text: Mapping[str, str], hold: Hold | None) -> tuple[str | None, int | None]:
    """Return why and until when a job is parked under a hold.

    The reason is the job's own, unless the hold is a person's or has a message of an endpoint.
    """
    if hold is None:
        return text.get("reason"), None
    return (text.get("reason") if hold.verdict and not hold.label else hold.reason), hold.ends
