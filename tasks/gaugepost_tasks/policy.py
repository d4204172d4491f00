"""Decide what follows from each verdict: the second table of `docs/policy.md`, as pure functions.

A decision says what becomes of the job (delivered, parked, held, requeued, dead or unknown) and which hold to open. The
ledger carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, assert_never

from gaugepost.jobs import CloseLoop
from gaugepost.transitions import (
    Dead,
    Decision,
    Delivered,
    Held,
    HoldSpec,
    Parked,
    Phase,
    Requeued,
    Streak,
    Transition,
    Unknown,
)
from gaugepost.verdict import Verdict
from gaugepost_tasks.backoff import (
    UPLOAD_POLL,
    delay_ms,
    family_of,
    poll_ms,
    probes_ms,
    schedule_of,
    throttle_probes_ms,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gaugepost.jobs import JobBase
    from gaugepost.transitions import Attempt
    from gaugepost_tasks.http_messages import Judgement

_V = Verdict
_ENTIRE_REGION = ""
_CREDENTIALS = "credentials"
NEEDS_TOKEN = "credentials:oauth"  # noqa: S105 - a scope
"""Scope of a hold on all jobs that need an access token."""

_STREAK_LIMIT = 5
_BREAKER_JOBS = 3
_BREAKER_SORTS = 2
_SERVER_STREAK = "server"
_SERVER_FAILURES = family_of(_V.SERVER_ERROR)
GIVE_UP_MS = 48 * 3600 * 1000
"""How long a job waits until an operator corrects its mapping."""

NOTE_MAY_BE_DUPLICATE = "an earlier attempt had no clear answer: the note may exist twice"
SEALED = "sealed: GAUGEPOST_DATA_KEY of a worker does not open it"
_SEALED_MS = (10_000, 600_000)
LINK_LOST = "link lost"
ANSWER_LOST = "answer lost"
NOT_READABLE = "answered 200, not readable"
_UNREADABLE_TRIES = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What `decide` knows of a job besides its newest answer.

    * `attempts`: earlier attempts since the job was enqueued or last replayed.
    * `may_be_done`: CustomerGauge may have carried out an earlier attempt.
    * `probe`: scope of the hold that this job probes; None if it is no probe.
    * `probe_about`: verdict of that hold; None matches any verdict.
    * `rand`: random number in [0, 1), for the jitter.
    * `schedules`: verdict → waits in seconds, from the settings.
    * `poll`: waits in seconds between two requests for the statistics of an upload.
    * `fingerprint`: of the credential that the attempt used.
    """

    job: JobBase
    attempts: Sequence[Attempt] = ()
    may_be_done: bool = False
    probe: str | None = None
    probe_about: Verdict | None = None
    rand: float = 0.5
    schedules: Mapping[Verdict, Sequence[float]] = field(default_factory=dict)
    poll: Sequence[float] = UPLOAD_POLL
    fingerprint: str | None = None

    @property
    def mapping_scope(self) -> str:
        """Return the scope of a hold on this job's configuration."""
        return f"configuration:{self.job.mapping}"

    def probes(self, scope: str, verdict: Verdict) -> bool:
        """Return whether the job is the probe of a hold of this scope and verdict."""
        return self.probe == scope and self.probe_about in {None, verdict}


def decide(judgement: Judgement, facts: Facts) -> Decision:
    """Decide what becomes of a job. Every combination of verdict, kind and `on_unknown` has a decision."""
    outcome = _outcome(judgement, facts)
    ended = _ended_streaks(judgement.verdict, facts.job)
    return Decision(
        outcome.transition, outcome.counted, outcome.hold, outcome.streak, ended
    )  # `replace` costs three times as much


def missing_credentials(needs: Literal["oauth", "api_key"], setting_name: str) -> Decision:
    """Hold all jobs that need a credential which is not set. Nothing was sent, so the attempt does not count."""
    scope, reason = f"credentials:{needs}", f"{setting_name} is not set"
    hold = HoldSpec(scope, reason, _V.REFUSED_CREDENTIALS, probes_ms("credentials", 0.5))
    return Decision(Held(scope, reason), counted=False, hold=hold)


def token_hold(judgement: Judgement, rand: float, fingerprint: str | None = None) -> HoldSpec:
    """Return the hold to open after a failed request for a token. The next request for a token is its probe.

    The hold stops only jobs that need a token. One failed request counts once, however many jobs waited for it.
    """
    match judgement.verdict:
        case _V.REFUSED_CREDENTIALS:
            return _credential_hold(NEEDS_TOKEN, judgement, rand, fingerprint)
        case _V.THROTTLED:
            probes = throttle_probes_ms(judgement.retry_after_s, rand)
        case _:
            probes = probes_ms("token", rand)
    return HoldSpec(NEEDS_TOKEN, judgement.message or judgement.verdict, judgement.verdict, probes, label=_CREDENTIALS)


def _credential_hold(scope: str, judgement: Judgement, rand: float, fingerprint: str | None) -> HoldSpec:
    """Return the hold on all jobs that need this credential. Its reason names the credential by fingerprint."""
    verdict = _V.REFUSED_CREDENTIALS
    words = (judgement.message or verdict) + (f" (credential {fingerprint})" if fingerprint else "")
    return HoldSpec(
        scope, words, verdict, probes_ms("credentials", rand), label=_CREDENTIALS, fingerprint=fingerprint
    )  # fmt: skip


def wait_for_token(judgement: Judgement) -> Decision:
    """Hold a job until there is a token. Nothing was sent, so the attempt does not count."""
    return Decision(Held(NEEDS_TOKEN, _CREDENTIALS, words=judgement.message), counted=False)


def missing_data_key(waited_ms: float) -> Decision:
    """Park a job that this worker has no key to decrypt. The wait is the job's age `waited_ms`, 10 s to 10 min.

    There is no hold, because other jobs of the region need no key or another one. Doubling waits cost about ten claims
    of a job in an hour. Ten minutes after a worker has the key, all these jobs are on their way.
    """
    delay = min(max(waited_ms, _SEALED_MS[0]), _SEALED_MS[1])
    return Decision(Parked(int(delay), SEALED), counted=False)


def _outcome(judgement: Judgement, facts: Facts) -> Decision:  # noqa: C901, PLR0911, PLR0912 - a row a verdict
    verdict = judgement.verdict
    match verdict:
        case _V.DELIVERED if facts.job.kind == "file":
            return Decision(Parked(poll_ms(facts.poll, 0, facts.rand), Phase.PROCESSING.value, Phase.PROCESSING))
        case _V.DELIVERED | _V.DELIVERED_IN_PART:
            return Decision(_delivered(judgement, facts))
        case _V.UNAUTHENTICATED:
            return Decision(Requeued(), counted=False)
        case _V.REFUSED_CREDENTIALS:
            scope = f"{_CREDENTIALS}:{facts.job.needs}"
            hold = _credential_hold(scope, judgement, facts.rand, facts.fingerprint)
            return Decision(Held(scope, _CREDENTIALS, words=hold.reason), counted=False, hold=hold)
        case _V.THROTTLED:
            probes = throttle_probes_ms(judgement.retry_after_s, facts.rand)
            scope = f"endpoints:{facts.job.endpoints}"
            hold = HoldSpec(scope, verdict.value, verdict, probes)
            return Decision(Held(scope, verdict.value), counted=False, hold=hold)
        case _V.UNKNOWN_MAPPING | _V.WRONG_MAPPING_TYPE:
            return _mapping_fault(verdict, facts)
        case _V.MAPPING_DRIFT:
            return _mapping_drift(facts)
        case (
            _V.NO_CAMPAIGN
            | _V.UNRECOGNISED_422
            | _V.UNRECOGNISED_400
            | _V.UNRECOGNISED_404
            | _V.UNRECOGNISED_200
        ):  # fmt: skip
            return Decision(_backed_off(verdict, facts))
        case _V.UNREACHABLE if judgement.at_proxy:
            return _proxy_failure(judgement, facts)
        case _V.SERVER_ERROR | _V.UNREACHABLE | _V.LOST_ANSWER | _V.UNREADABLE_SUCCESS:
            return _server_failure(verdict, facts)
        case _V.DUPLICATE if facts.job.kind == "personal_link" and facts.may_be_done:
            return Decision(Unknown(LINK_LOST))
        case _V.DUPLICATE | _V.MISSING_FIELD | _V.INVALID_VALUE | _V.TOO_LARGE | _V.BAD_FILE | _V.UNREADABLE:
            return Decision(Dead(verdict))
        case _ as never:  # pragma: no cover
            assert_never(never)


def _delivered(judgement: Judgement, facts: Facts) -> Delivered:
    happened_at = facts.job.happened_at if isinstance(facts.job, CloseLoop) else None
    return Delivered(judgement.result, judgement.warnings + _late_warnings(facts), happened_at)


def _late_warnings(facts: Facts) -> tuple[str, ...]:
    return (NOTE_MAY_BE_DUPLICATE,) if facts.may_be_done and getattr(facts.job, "note", None) else ()


def _backed_off(verdict: Verdict, facts: Facts) -> Parked | Dead:
    """Park the job on the verdict's schedule. After the last wait it is dead, except for `unreachable`."""
    schedule = schedule_of(verdict, facts.schedules)
    step = _step(verdict, facts.attempts)
    if verdict is _V.UNREACHABLE:
        step = min(step, len(schedule) - 1)
    delay = delay_ms(schedule, step, facts.rand)
    return Dead(verdict) if delay is None else Parked(delay, verdict.value)


def _step(verdict: Verdict, attempts: Sequence[Attempt]) -> int:
    """Count the earlier attempts of the same family. `unreachable` counts only for itself."""
    family = family_of(verdict)
    return sum(
        attempt.verdict in family and (attempt.counted or attempt.verdict is verdict is _V.UNREACHABLE)
        for attempt in attempts
    )


def _mapping_hold(verdict: Verdict, facts: Facts) -> HoldSpec:
    return HoldSpec(facts.mapping_scope, verdict.value, verdict, probes_ms("mapping", facts.rand), GIVE_UP_MS)


def _mapping_fault(verdict: Verdict, facts: Facts) -> Decision:
    """Hold the configuration and its job, the job for 48 hours at most. A job without a configuration is dead."""
    if facts.job.mapping is None:
        return Decision(Dead(verdict))
    kept = Held(facts.mapping_scope, verdict.value, GIVE_UP_MS)
    return Decision(kept, counted=False, hold=_mapping_hold(verdict, facts))


def _mapping_drift(facts: Facts) -> Decision:
    """Back off. Five drifted jobs of one configuration in a row hold it: then the mapping is wrong, not the jobs."""
    verdict = _V.MAPPING_DRIFT
    if facts.job.mapping is None:
        return Decision(_backed_off(verdict, facts))
    if facts.probes(facts.mapping_scope, verdict):
        return _mapping_fault(verdict, facts)
    streak = Streak(_drift_streak(facts.job), _STREAK_LIMIT, _mapping_hold(verdict, facts), jobs=_STREAK_LIMIT)
    return Decision(_backed_off(verdict, facts), streak=streak)


def _server_failure(verdict: Verdict, facts: Facts) -> Decision:
    """Back off, or settle as unknown a job that must not be repeated. Five failures in a row hold the region.

    The failures must come from at least three jobs, so that one bad job cannot hold a region. They must also come from
    two sorts (a sort is a kind and its configuration), if the region has as many. Under the hold the worker sends only
    its probe, and a failed probe counts as an attempt. All verdicts of this family share one hold, named
    `server_error`: a probe that fails in another of these ways does not lift it. An unreadable success does not count
    towards the five.
    """
    if verdict is _V.UNREADABLE_SUCCESS:
        return Decision(_unreadable(facts))
    breaker = HoldSpec(
        _ENTIRE_REGION, f"breaker: {verdict}", _V.SERVER_ERROR, probes_ms("breaker", facts.rand)
    )  # fmt: skip
    streak = Streak(_SERVER_STREAK, _STREAK_LIMIT, breaker, _BREAKER_JOBS, _BREAKER_SORTS, apart=True)
    transition: Transition
    match verdict, facts.job.on_unknown, facts.job.kind:
        case _V.LOST_ANSWER, "hold", _:
            transition = Unknown(ANSWER_LOST)
        case _V.LOST_ANSWER, _, "file":
            transition = _look_up_instead(_backed_off(verdict, facts))
        case _:
            transition = _backed_off(verdict, facts)
    return Decision(transition, counted=verdict is not _V.UNREACHABLE, streak=streak)


def _proxy_failure(judgement: Judgement, facts: Facts) -> Decision:
    """Hold the region until its egress proxy works again.

    The failure proves nothing about CustomerGauge, so it adds to no streak. Only this hold of a region has the verdict
    `unreachable`.
    """
    hold = HoldSpec(_ENTIRE_REGION, judgement.message, _V.UNREACHABLE, probes_ms("breaker", facts.rand))
    return Decision(Requeued(), counted=False, hold=hold)


def _unreadable(facts: Facts) -> Parked | Unknown:
    """Retry an unreadable success at most twice: each attempt may have taken effect. Then the job is unknown."""
    verdict = _V.UNREADABLE_SUCCESS
    tries = 1 + sum(attempt.verdict is verdict for attempt in facts.attempts)
    again = _backed_off(verdict, facts)
    return again if tries < _UNREADABLE_TRIES and isinstance(again, Parked) else Unknown(NOT_READABLE)


def _look_up_instead(transition: Parked | Dead) -> Parked | Unknown:
    """Look the file up in the statistics instead of sending it again. Without a wait left it is unknown, not dead."""
    return replace(transition, phase=Phase.LOOKUP) if isinstance(transition, Parked) else Unknown(ANSWER_LOST)


def _drift_streak(job: JobBase) -> str:
    return f"drift:{job.mapping}"


def _ended_streaks(verdict: Verdict, job: JobBase) -> tuple[str, ...]:
    """Return the streaks that this verdict ends. A readable answer ends the server's; a delivery ends the drift's."""
    if verdict in _SERVER_FAILURES:
        return ()
    delivered = verdict in {_V.DELIVERED, _V.DELIVERED_IN_PART} and job.mapping is not None
    return (_SERVER_STREAK, _drift_streak(job)) if delivered else (_SERVER_STREAK,)
