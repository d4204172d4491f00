"""Create the holds that a verdict opens, and the streaks of failures that open one.

A hold stops the jobs of its scope. Its probes test whether the cause is gone. The ledger counts a streak: so many
failures in a row open its hold. All times are in ms. `rand`: random number in [0, 1), for the jitter of the probes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gaugepost.transitions import HoldSpec, Streak
from gaugepost.verdict import Verdict
from gaugepost_tasks.backoff import family_of, probes_ms, throttle_probes_ms

if TYPE_CHECKING:
    from gaugepost.jobs import JobBase
    from gaugepost_tasks.http_messages import Judgement

CREDENTIALS = "credentials"
NEEDS_TOKEN = "credentials:oauth"  # noqa: S105 - a scope
"""Scope of a hold on all jobs that need an access token."""

GIVE_UP_MS = 48 * 3600 * 1000
"""How long a job waits until an operator corrects its mapping."""

_ENTIRE_REGION = ""
_STREAK_LIMIT = 5
_BREAKER_JOBS = 3
_BREAKER_SORTS = 2
_SERVER_STREAK = "server"
_SERVER_FAILURES = family_of(Verdict.SERVER_ERROR)


def mapping_scope(job: JobBase) -> str:
    """Return the scope of a hold on this job's configuration."""
    return f"configuration:{job.mapping}"


def mapping_hold(job: JobBase, verdict: Verdict, rand: float) -> HoldSpec:
    """Return the hold on a configuration that CustomerGauge does not know, or knows otherwise."""
    return HoldSpec(mapping_scope(job), verdict.value, verdict, probes_ms("mapping", rand), GIVE_UP_MS)


def credential_hold(scope: str, judgement: Judgement, rand: float, fingerprint: str | None) -> HoldSpec:
    """Return the hold on all jobs that need this credential. Its reason names the credential by fingerprint."""
    verdict = Verdict.REFUSED_CREDENTIALS
    words = (judgement.message or verdict) + (f" (credential {fingerprint})" if fingerprint else "")
    probes = probes_ms("credentials", rand)
    return HoldSpec(scope, words, verdict, probes, label=CREDENTIALS, fingerprint=fingerprint)


def missing_credential_hold(needs: Literal["oauth", "api_key"], setting_name: str) -> HoldSpec:
    """Return the hold on all jobs that need a credential which is not set."""
    reason = f"{setting_name} is not set"
    return HoldSpec(f"{CREDENTIALS}:{needs}", reason, Verdict.REFUSED_CREDENTIALS, probes_ms("credentials", 0.5))


def token_hold(judgement: Judgement, rand: float, fingerprint: str | None = None) -> HoldSpec:
    """Return the hold to open after a failed request for a token. The next request for a token is its probe.

    The hold stops only jobs that need a token. One failed request counts once, however many jobs waited for it.
    """
    match judgement.verdict:
        case Verdict.REFUSED_CREDENTIALS:
            return credential_hold(NEEDS_TOKEN, judgement, rand, fingerprint)
        case Verdict.THROTTLED:
            probes = throttle_probes_ms(judgement.retry_after_s, rand)
        case _:
            probes = probes_ms("token", rand)
    return HoldSpec(NEEDS_TOKEN, judgement.message or judgement.verdict, judgement.verdict, probes, label=CREDENTIALS)


def throttle_hold(job: JobBase, judgement: Judgement, rand: float) -> HoldSpec:
    """Return the hold on all jobs of the endpoints that asked to wait."""
    verdict = judgement.verdict
    probes = throttle_probes_ms(judgement.retry_after_s, rand)
    return HoldSpec(f"endpoints:{job.endpoints}", verdict.value, verdict, probes)


def proxy_hold(judgement: Judgement, rand: float) -> HoldSpec:
    """Return the hold on a region whose egress proxy fails. No other hold of a region has the verdict `unreachable`."""
    return HoldSpec(_ENTIRE_REGION, judgement.message, Verdict.UNREACHABLE, probes_ms("breaker", rand))


def server_streak(verdict: Verdict, rand: float) -> Streak:
    """Return the circuit breaker: five failures of the server in a row hold the region.

    The failures must come from at least three jobs, so that one bad job cannot hold a region. They must also come from
    two sorts (a sort is a kind and its configuration), if the region has as many. All verdicts of this family share
    one hold, named `server_error`: a probe that fails in another of these ways does not lift it.
    """
    hold = HoldSpec(_ENTIRE_REGION, f"breaker: {verdict}", Verdict.SERVER_ERROR, probes_ms("breaker", rand))
    return Streak(_SERVER_STREAK, _STREAK_LIMIT, hold, _BREAKER_JOBS, _BREAKER_SORTS, apart=True)


def drift_streak(job: JobBase, rand: float) -> Streak:
    """Return the streak that holds a configuration after five drifted jobs in a row."""
    hold = mapping_hold(job, Verdict.MAPPING_DRIFT, rand)
    return Streak(_drift_name(job), _STREAK_LIMIT, hold, jobs=_STREAK_LIMIT)


def ended_streaks(verdict: Verdict, job: JobBase) -> tuple[str, ...]:
    """Return the streaks that this verdict ends. A readable answer ends the server's; a delivery ends the drift's."""
    if verdict in _SERVER_FAILURES:
        return ()
    delivered = verdict in {Verdict.DELIVERED, Verdict.DELIVERED_IN_PART} and job.mapping is not None
    return (_SERVER_STREAK, _drift_name(job)) if delivered else (_SERVER_STREAK,)


def _drift_name(job: JobBase) -> str:
    return f"drift:{job.mapping}"
