"""Decide what follows from each verdict: the second table of `docs/policy.md`, as pure functions.

A decision says what becomes of the job (delivered, parked, held, requeued, dead or unknown) and which hold to open
(`holds.py`). The ledger carries it out.
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
    Parked,
    Phase,
    Requeued,
    Transition,
    Unknown,
)
from gaugepost.verdict import Verdict
from gaugepost_tasks.backoff import UPLOAD_POLL, delay_ms, family_of, poll_ms, schedule_of
from gaugepost_tasks.holds import (
    CREDENTIALS,
    GIVE_UP_MS,
    NEEDS_TOKEN,
    credential_hold,
    drift_streak,
    ended_streaks,
    mapping_hold,
    mapping_scope,
    missing_credential_hold,
    proxy_hold,
    server_streak,
    throttle_hold,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gaugepost.jobs import JobBase
    from gaugepost.transitions import Attempt
    from gaugepost_tasks.http_messages import Judgement

_V = Verdict
NOTE_MAY_BE_DUPLICATE = "an earlier attempt had no clear answer: the note may exist twice"
SEALED = "sealed: GAUGEPOST_DATA_KEY of a worker cannot decrypt it"
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

    def probes(self, scope: str, verdict: Verdict) -> bool:
        """Return whether the job is the probe of a hold of this scope and verdict."""
        return self.probe == scope and self.probe_about in {None, verdict}


def decide(judgement: Judgement, facts: Facts) -> Decision:
    """Decide what becomes of a job. Every combination of verdict, kind and `on_unknown` has a decision."""
    outcome = _outcome(judgement, facts)
    ended = ended_streaks(judgement.verdict, facts.job)
    # `replace` costs three times as much.
    return Decision(outcome.transition, outcome.counted, outcome.hold, outcome.streak, ended)


def missing_credentials(needs: Literal["oauth", "api_key"], setting_name: str) -> Decision:
    """Hold all jobs that need a credential which is not set. Nothing was sent, so the attempt does not count."""
    hold = missing_credential_hold(needs, setting_name)
    return Decision(Held(hold.scope, hold.reason), counted=False, hold=hold)


def wait_for_token(judgement: Judgement) -> Decision:
    """Hold a job until there is a token. Nothing was sent, so the attempt does not count."""
    return Decision(Held(NEEDS_TOKEN, CREDENTIALS, words=judgement.message), counted=False)


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
            scope = f"{CREDENTIALS}:{facts.job.needs}"
            hold = credential_hold(scope, judgement, facts.rand, facts.fingerprint)
            return Decision(Held(scope, CREDENTIALS, words=hold.reason), counted=False, hold=hold)
        case _V.THROTTLED:
            hold = throttle_hold(facts.job, judgement, facts.rand)
            return Decision(Held(hold.scope, verdict.value), counted=False, hold=hold)
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


def _mapping_fault(verdict: Verdict, facts: Facts) -> Decision:
    """Hold the configuration and its job, the job for 48 hours at most. A job without a configuration is dead."""
    if facts.job.mapping is None:
        return Decision(Dead(verdict))
    kept = Held(mapping_scope(facts.job), verdict.value, GIVE_UP_MS)
    return Decision(kept, counted=False, hold=mapping_hold(facts.job, verdict, facts.rand))


def _mapping_drift(facts: Facts) -> Decision:
    """Back off. Five drifted jobs of one configuration in a row hold it: then the mapping is wrong, not the jobs."""
    verdict = _V.MAPPING_DRIFT
    if facts.job.mapping is None:
        return Decision(_backed_off(verdict, facts))
    if facts.probes(mapping_scope(facts.job), verdict):
        return _mapping_fault(verdict, facts)
    return Decision(_backed_off(verdict, facts), streak=drift_streak(facts.job, facts.rand))


def _server_failure(verdict: Verdict, facts: Facts) -> Decision:
    """Back off, or settle as unknown a job that must not be repeated. Five failures in a row hold the region.

    Under that hold the worker sends only its probe, and a failed probe counts as an attempt. An unreadable success does
    not count towards the five.
    """
    if verdict is _V.UNREADABLE_SUCCESS:
        return Decision(_unreadable(facts))
    transition: Transition
    match verdict, facts.job.on_unknown, facts.job.kind:
        case _V.LOST_ANSWER, "hold", _:
            transition = Unknown(ANSWER_LOST)
        case _V.LOST_ANSWER, _, "file":
            transition = _look_up_instead(_backed_off(verdict, facts))
        case _:
            transition = _backed_off(verdict, facts)
    return Decision(transition, counted=verdict is not _V.UNREACHABLE, streak=server_streak(verdict, facts.rand))


def _proxy_failure(judgement: Judgement, facts: Facts) -> Decision:
    """Hold the region until its egress proxy works again. This proves nothing about CustomerGauge: no streak."""
    return Decision(Requeued(), counted=False, hold=proxy_hold(judgement, facts.rand))


def _unreadable(facts: Facts) -> Parked | Unknown:
    """Retry an unreadable success at most twice: each attempt may have taken effect. Then the job is unknown."""
    verdict = _V.UNREADABLE_SUCCESS
    tries = 1 + sum(attempt.verdict is verdict for attempt in facts.attempts)
    again = _backed_off(verdict, facts)
    return again if tries < _UNREADABLE_TRIES and isinstance(again, Parked) else Unknown(NOT_READABLE)


def _look_up_instead(transition: Parked | Dead) -> Parked | Unknown:
    """Look the file up in the statistics instead of sending it again. Without a wait left it is unknown, not dead."""
    return replace(transition, phase=Phase.LOOKUP) if isinstance(transition, Parked) else Unknown(ANSWER_LOST)
