"""Decisions on jobs that were not sent: for lack of a credential, a token or a key."""

from __future__ import annotations

import pytest

from gaugepost.transitions import Held, HoldSpec, Parked
from gaugepost.verdict import Verdict
from gaugepost_tasks.holds import token_hold
from gaugepost_tasks.http_messages import Judgement
from gaugepost_tasks.policy import SEALED, missing_credentials, missing_data_key, wait_for_token

V = Verdict
S = 1000
M = 60 * S


def test_jobs_without_credentials_wait_for_them_unsent() -> None:
    decision = missing_credentials("api_key", "GAUGEPOST_EU_API_KEY")
    assert decision.transition == Held("credentials:api_key", "GAUGEPOST_EU_API_KEY is not set")
    assert decision.counted is False
    assert decision.hold == HoldSpec(
        "credentials:api_key", "GAUGEPOST_EU_API_KEY is not set", V.REFUSED_CREDENTIALS, (M, 5 * M, 15 * M)
    )


@pytest.mark.parametrize(
    ("verdict", "retry_after_s", "waits"),
    [
        (V.UNREACHABLE, None, (1, 2, 5, 10, 20, 40, 60)),
        (V.SERVER_ERROR, None, (1, 2, 5, 10, 20, 40, 60)),
        (V.REFUSED_CREDENTIALS, None, (60, 300, 900)),
        (V.THROTTLED, None, (30, 60, 120, 240, 480, 600)),
        (V.THROTTLED, 100, (100, 100, 100, 120, 240, 480, 600)),
    ],
)
def test_failed_token_request_holds_only_jobs_that_need_a_token(
    verdict: Verdict, retry_after_s: float | None, waits: tuple[int, ...]
) -> None:
    hold = token_hold(Judgement(verdict, "reason", retry_after_s=retry_after_s), 0.0 if retry_after_s else 0.5)
    probes = tuple(wait * S for wait in waits)
    assert hold == HoldSpec("credentials:oauth", "reason", verdict, probes, label="credentials")
    assert token_hold(Judgement(verdict), 0.5).reason == verdict


def test_job_without_token_waits_uncounted_and_opens_no_hold() -> None:
    decision = wait_for_token(Judgement(V.REFUSED_CREDENTIALS, "token endpoint: HTTP 401"))
    assert decision.transition == Held("credentials:oauth", "credentials", words="token endpoint: HTTP 401")
    assert (decision.counted, decision.hold, decision.streak, decision.ends_streaks) == (False, None, None, ())


@pytest.mark.parametrize(("waited_ms", "delay_ms"), [(0, 10_000), (60_000.7, 60_000), (10**9, 600_000)])
def test_undecryptable_job_waits_as_long_as_its_age(waited_ms: float, delay_ms: int) -> None:
    decision = missing_data_key(waited_ms)
    assert decision.transition == Parked(delay_ms, SEALED)
    assert (decision.counted, decision.hold) == (False, None)
