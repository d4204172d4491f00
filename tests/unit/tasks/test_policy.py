from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from gaugepost.transitions import Attempt, Dead, Delivered, Held, HoldSpec, Parked, Phase, Requeued, Streak, Unknown
from gaugepost.verdict import Verdict
from gaugepost_tasks.endpoints.handlers import HANDLERS
from gaugepost_tasks.holds import GIVE_UP_MS
from gaugepost_tasks.http_messages import Judgement
from gaugepost_tasks.policy import (
    NOTE_MAY_BE_DUPLICATE,
    Facts,
    decide,
)

V = Verdict
MAPPING = "configuration:53505294-0b20-2509-b15d-c8e377701d66"
DRIFT = MAPPING.replace("configuration", "drift")
SERVER_FAMILY = (V.SERVER_ERROR, V.UNREACHABLE, V.LOST_ANSWER)
S = 1000
M = 60 * S
H = 60 * M
BREAKER = HoldSpec("", "breaker: server_error", V.SERVER_ERROR, (15 * S, M, 5 * M))

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.jobs import AnyJob
    from gaugepost.transitions import Decision, Transition

    MakeJob = Callable[..., AnyJob]
    Decide = Callable[..., Decision]


def attempts(*verdicts: Verdict, counted: bool = True) -> list[Attempt]:
    return [Attempt(n, 0, 1, None, verdict, counted=counted) for n, verdict in enumerate(verdicts, 1)]


@pytest.fixture
def decided(job: MakeJob) -> Decide:
    def decide_on(
        verdict: Verdict | None,
        kind: str = "record",
        *,
        judgement: Judgement | None = None,
        fields: dict[str, object] | None = None,
        **facts: object,
    ) -> Decision:
        return decide(judgement or Judgement(verdict), Facts(job(kind, **(fields or {})), **facts))

    return decide_on


def test_a_delivery_ends_the_streaks_of_the_server_and_of_its_mapping(decided: Decide) -> None:
    judgement = Judgement(V.DELIVERED, result={"a": 1}, warnings=("w",))
    decision = decided(V.DELIVERED, judgement=judgement)
    assert decision.transition == Delivered({"a": 1}, ("w",))
    assert decision.ends_streaks == ("server", DRIFT)
    assert decided(V.DELIVERED, "close_loop").ends_streaks == ("server",)


def test_a_delivery_in_part_is_delivered_with_its_warning(decided: Decide) -> None:
    judgement = Judgement(V.DELIVERED_IN_PART, warnings=("CustomerGauge did not accept the note",))
    assert decided(None, "close_loop", judgement=judgement).transition == Delivered({}, judgement.warnings)


def test_note_that_may_be_duplicated_gives_a_warning(decided: Decide) -> None:
    (warning,) = decided(V.DELIVERED, "close_loop", may_be_done=True).transition.warnings
    assert warning == NOTE_MAY_BE_DUPLICATE
    assert decided(V.DELIVERED, "close_loop").transition.warnings == ()
    assert decided(V.DELIVERED, "close_loop", fields={"note": None}, may_be_done=True).transition.warnings == ()
    assert decided(V.DELIVERED, "record", may_be_done=True).transition.warnings == ()


def test_refused_token_is_no_counted_attempt(decided: Decide) -> None:
    decision = decided(V.UNAUTHENTICATED)
    assert (decision.transition, decision.counted, decision.hold) == (Requeued(), False, None)


def test_refused_credential_holds_all_jobs_that_need_it(decided: Decide) -> None:
    judgement = Judgement(V.REFUSED_CREDENTIALS, "HTTP 401")
    decision = decided(None, "response", judgement=judgement, fingerprint="1a2b3c4d")
    words = "HTTP 401 (credential 1a2b3c4d)"
    assert (decision.transition, decision.counted) == (Held("credentials:api_key", "credentials", words=words), False)
    assert decision.hold == HoldSpec(
        "credentials:api_key", "HTTP 401 (credential 1a2b3c4d)", V.REFUSED_CREDENTIALS, (M, 5 * M, 15 * M),
        label="credentials", fingerprint="1a2b3c4d",
    )  # fmt: skip
    other = decided(V.REFUSED_CREDENTIALS, "record").hold
    assert other is not None
    assert (other.scope, other.reason) == ("credentials:oauth", "refused_credentials")


@pytest.mark.parametrize(
    ("kind", "scope"),
    [
        ("record", "endpoints:imports"),
        ("personal_link", "endpoints:imports"),
        ("close_loop", "endpoints:close_loop"),
        ("response", "endpoints:responses"),
        ("file", "endpoints:uploads"),
        ("file_delete", "endpoints:uploads"),
    ],
)
def test_throttled_endpoints_are_held_for_retry_after(decided: Decide, kind: str, scope: str) -> None:
    decision = decided(None, kind, judgement=Judgement(V.THROTTLED, retry_after_s=100), rand=0.0)
    assert (decision.transition, decision.counted) == (Held(scope, "throttled"), False)
    assert decision.hold == HoldSpec(
        scope, "throttled", V.THROTTLED, (100 * S, 100 * S, 100 * S, 120 * S, 240 * S, 480 * S, 600 * S)
    )
    assert decided(V.THROTTLED).hold.probe_ms[:2] == (30 * S, 60 * S)


@pytest.mark.parametrize("verdict", [V.UNKNOWN_MAPPING, V.WRONG_MAPPING_TYPE])
def test_a_mapping_fault_holds_its_configuration_and_the_job_for_two_days(decided: Decide, verdict: Verdict) -> None:
    decision = decided(verdict, probe=MAPPING)
    assert decision.transition == Held(MAPPING, verdict, 48 * H)
    assert decision.counted is False
    assert decision.hold == HoldSpec(MAPPING, verdict, verdict, (5 * M, 30 * M, 2 * H, 6 * H), GIVE_UP_MS)


def test_mapping_drift_backs_off_and_five_in_a_row_hold(decided: Decide) -> None:
    hold = HoldSpec(MAPPING, "mapping_drift", V.MAPPING_DRIFT, (5 * M, 30 * M, 2 * H, 6 * H), GIVE_UP_MS)
    waits = []
    for n in range(4):
        decision = decided(V.MAPPING_DRIFT, attempts=attempts(*[V.MAPPING_DRIFT] * n))
        assert decision.streak == Streak(DRIFT, 5, hold, jobs=5)
        assert decision.ends_streaks == ("server",)
        waits.append(decision.transition)
    assert waits == [*(Parked(wait, "mapping_drift") for wait in (5 * M, 30 * M, 2 * H)), Dead(V.MAPPING_DRIFT)]


def test_failed_probe_of_drift_extends_its_hold_without_counting(decided: Decide) -> None:
    for about in (None, V.MAPPING_DRIFT):
        decision = decided(V.MAPPING_DRIFT, probe=MAPPING, probe_about=about)
        assert decision.transition == Held(MAPPING, "mapping_drift", 48 * H)
        assert (decision.counted, decision.streak) == (False, None)
        assert decision.hold.verdict is V.MAPPING_DRIFT
    other = decided(V.MAPPING_DRIFT, probe=MAPPING, probe_about=V.UNKNOWN_MAPPING)
    assert isinstance(other.transition, Parked)


def test_job_without_mapping_opens_no_mapping_hold(decided: Decide) -> None:
    assert decided(V.MAPPING_DRIFT, "close_loop").streak is None
    assert decided(V.UNKNOWN_MAPPING, "close_loop").transition == Dead(V.UNKNOWN_MAPPING)


@pytest.mark.parametrize(
    ("verdict", "waits"),
    [
        (V.NO_CAMPAIGN, (5 * M, 30 * M, 2 * H, 12 * H)),
        (V.UNRECOGNISED_422, (M, 10 * M, H)),
        (V.UNRECOGNISED_400, (M, 10 * M, H)),
        (V.UNRECOGNISED_404, (M, 10 * M, H)),
        (V.UNRECOGNISED_200, (M, 10 * M, H)),
        (V.SERVER_ERROR, (2 * S, 10 * S, M, 5 * M, 15 * M, H, 3 * H, 6 * H)),
        (V.LOST_ANSWER, (2 * S, 10 * S, M, 5 * M, 15 * M, H, 3 * H, 6 * H)),
    ],
)
def test_tries_follow_the_verdicts_schedule_and_then_the_job_is_dead(
    decided: Decide, verdict: Verdict, waits: tuple[int, ...]
) -> None:
    got = [decided(verdict, attempts=attempts(*[verdict] * n)) for n in range(len(waits) + 1)]
    assert [one.transition for one in got] == [*(Parked(wait, verdict) for wait in waits), Dead(verdict)]
    assert all(one.counted for one in got)


def test_tries_of_one_family_add_up_and_others_do_not(decided: Decide) -> None:
    earlier = attempts(V.SERVER_ERROR, V.LOST_ANSWER, V.NO_CAMPAIGN, V.THROTTLED)
    assert decided(V.SERVER_ERROR, attempts=earlier).transition.delay_ms == M
    assert decided(V.UNRECOGNISED_404, attempts=attempts(V.UNRECOGNISED_400)).transition.delay_ms == 10 * M


def test_attempts_that_were_not_counted_do_not_move_the_schedule_on(decided: Decide) -> None:
    earlier = attempts(V.SERVER_ERROR, V.UNREACHABLE, counted=False)
    assert decided(V.SERVER_ERROR, attempts=earlier).transition.delay_ms == 2 * S


def test_the_schedules_can_be_overridden(decided: Decide) -> None:
    assert decided(V.NO_CAMPAIGN, schedules={"no_campaign": (7.0,)}, rand=0.0).transition.delay_ms == 5600
    assert decided(V.UNREACHABLE, schedules={"server_error": ()}).transition == Dead(V.UNREACHABLE)


def test_unreachable_server_is_retried_forever_and_not_counted(decided: Decide) -> None:
    earlier = attempts(*[V.UNREACHABLE] * 3, counted=False)
    assert decided(V.UNREACHABLE, attempts=earlier).transition.delay_ms == 5 * M
    last = decided(V.UNREACHABLE, attempts=earlier * 30)
    assert (last.transition, last.counted) == (Parked(6 * H, "unreachable"), False)


@pytest.mark.parametrize("verdict", SERVER_FAMILY)
@pytest.mark.parametrize("probe", [None, "", MAPPING])
def test_server_trouble_counts_towards_the_breaker(decided: Decide, verdict: Verdict, probe: str | None) -> None:
    decision = decided(verdict, probe=probe, probe_about=None if probe is None else V.SERVER_ERROR)
    hold = HoldSpec("", f"breaker: {verdict}", V.SERVER_ERROR, BREAKER.probe_ms)
    assert decision.streak == Streak("server", 5, hold, jobs=3, sorts=2, apart=True)
    assert (decision.hold, decision.ends_streaks) == (None, ())


def test_failed_probe_of_breaker_counts_as_an_attempt(decided: Decide) -> None:
    first = decided(V.SERVER_ERROR, probe="", probe_about=V.SERVER_ERROR)
    assert (first.transition, first.counted) == (Parked(2 * S, "server_error"), True)
    last = decided(V.SERVER_ERROR, probe="", probe_about=V.SERVER_ERROR, attempts=attempts(*[V.SERVER_ERROR] * 8))
    assert last.transition == Dead(V.SERVER_ERROR)


@pytest.mark.parametrize(
    ("kind", "on_unknown", "transition"),
    [
        ("record", "retry", Parked(2 * S, "lost_answer")),
        ("personal_link", "retry", Parked(2 * S, "lost_answer")),
        ("close_loop", "retry", Parked(2 * S, "lost_answer")),
        ("file", "retry", Parked(2 * S, "lost_answer", Phase.LOOKUP)),
        ("file_delete", "retry", Parked(2 * S, "lost_answer")),
        ("response", "retry", Parked(2 * S, "lost_answer")),
        *((kind, "hold", Unknown("answer lost")) for kind in HANDLERS),
    ],
)
def test_lost_answer_is_retried_or_unknown(decided: Decide, kind: str, on_unknown: str, transition: Transition) -> None:
    decision = decided(V.LOST_ANSWER, kind, fields={"on_unknown": on_unknown})
    assert decision.transition == transition
    assert decision.streak.name == "server"


def test_accepted_file_is_followed_until_processed(decided: Decide) -> None:
    decision = decided(V.DELIVERED, "file")
    assert decision.transition == Parked(60 * S, "processing", Phase.PROCESSING)
    assert decision.ends_streaks == ("server",)


def test_by_default_only_a_lost_response_is_unknown(decided: Decide) -> None:
    unknown = {kind for kind in HANDLERS if isinstance(decided(V.LOST_ANSWER, kind).transition, Unknown)}
    assert unknown == {"response"}


def test_unreadable_success_is_retried_twice_then_unknown(decided: Decide) -> None:
    got = [decided(V.UNREADABLE_SUCCESS, attempts=attempts(*[V.UNREADABLE_SUCCESS] * n)) for n in range(3)]
    waits = [Parked(wait, "unreadable_success") for wait in (2 * S, 10 * S)]
    assert [one.transition for one in got] == [*waits, Unknown("answered 200, not readable")]
    assert all((one.counted, one.hold, one.streak, one.ends_streaks) == (True, None, None, ()) for one in got)


def test_unreadable_success_uses_the_schedule_of_server_errors(decided: Decide) -> None:
    earlier = attempts(V.SERVER_ERROR, V.SERVER_ERROR)
    assert decided(V.UNREADABLE_SUCCESS, attempts=earlier).transition.delay_ms == M
    used_up = decided(V.UNREADABLE_SUCCESS, schedules={"server_error": ()})
    assert used_up.transition == Unknown("answered 200, not readable")


def test_duplicate_is_dead_except_a_link_with_unclear_attempt(decided: Decide) -> None:
    assert decided(V.DUPLICATE, "personal_link").transition == Dead(V.DUPLICATE)
    assert decided(V.DUPLICATE, "personal_link", may_be_done=True).transition == Unknown("link lost")
    assert decided(V.DUPLICATE, "file", may_be_done=True).transition == Dead(V.DUPLICATE)


@pytest.mark.parametrize("verdict", [V.MISSING_FIELD, V.INVALID_VALUE, V.TOO_LARGE, V.BAD_FILE])
def test_faulty_data_is_dead_at_once(decided: Decide, verdict: Verdict) -> None:
    decision = decided(verdict)
    assert (decision.transition, decision.ends_streaks) == (Dead(verdict), ("server",))


def test_there_is_a_decision_for_every_verdict_kind_and_circumstance(job: MakeJob) -> None:
    circumstances = itertools.product(
        V, HANDLERS, ("retry", "hold"), (None, "", MAPPING), (None, *V), (False, True), (0, GIVE_UP_MS)
    )
    jobs = {(kind, on): job(kind, on_unknown=on) for kind in HANDLERS for on in ("retry", "hold")}
    for verdict, kind, on_unknown, probe, about, lost, held in circumstances:
        facts = Facts(jobs[kind, on_unknown], attempts(verdict), lost, probe, about, held)
        decision = decide(Judgement(verdict), facts)
        assert decision.transition is not None
        assert decision.hold is None or decision.hold.probe_ms
        # A job that must not be repeated never goes back to the queue by itself.
        if verdict is V.LOST_ANSWER and on_unknown == "hold":
            assert isinstance(decision.transition, Unknown)


@pytest.mark.parametrize("kind", [*HANDLERS])
@pytest.mark.parametrize("probe", [None, ""])
def test_proxy_failure_holds_the_region_uncounted(decided: Decide, kind: str, probe: str | None) -> None:
    judgement = Judgement(V.UNREACHABLE, "proxy: 10.20.30.40:3128: answered 407 to CONNECT", at_proxy=True)
    decision = decided(None, kind, judgement=judgement, probe=probe, probe_about=V.UNREACHABLE if probe == "" else None)
    assert decision.transition == Requeued()
    assert (decision.counted, decision.streak, decision.ends_streaks) == (False, None, ())
    assert decision.hold == HoldSpec("", judgement.message, V.UNREACHABLE, (15 * S, M, 5 * M))


def test_delivered_change_of_a_case_says_when_it_happened(decided: Decide) -> None:
    happened_at = "2026-01-01 00:00:00"
    assert decided(V.DELIVERED, "close_loop", fields={"happened_at": happened_at}).transition.happened_at == happened_at
    assert decided(V.DELIVERED, "close_loop").transition.happened_at is None
