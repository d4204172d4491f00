"""Whether CustomerGauge may have carried out an earlier attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost.transitions import Attempt
from gaugepost.verdict import Verdict
from gaugepost_tasks.answers.verdicts import may_be_done
from gaugepost_tasks.endpoints.handlers import HANDLERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.jobs import AnyJob

    MakeJob = Callable[..., AnyJob]

V = Verdict


def tried(verdict: Verdict, status: int | None = 500) -> Attempt:
    return Attempt(1, 0, 1, status, verdict)


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize(
    ("earlier", "done"),
    [
        (tried(V.LOST_ANSWER, None), True),
        (tried(V.LOST_ANSWER), True),
        (tried(V.UNREADABLE_SUCCESS, 200), True),
        (tried(V.SERVER_ERROR), True),
        (tried(V.UNREACHABLE, None), False),
        (tried(V.THROTTLED, 429), False),
        (tried(V.UNAUTHENTICATED, 401), False),
        (tried(V.REFUSED_CREDENTIALS, 401), False),
    ],
)
def test_only_an_accepted_request_may_have_worked(job: MakeJob, kind: str, earlier: Attempt, done: bool) -> None:
    assert may_be_done(job(kind), [tried(V.UNREACHABLE, None), earlier]) is done
    assert may_be_done(job(kind), []) is False


def test_local_fault_before_sending_cannot_have_worked(job: MakeJob) -> None:
    assert not may_be_done(job("record"), [tried(V.SERVER_ERROR, None)])


def test_refused_attempt_may_be_done_only_for_a_file(job: MakeJob) -> None:
    refused = [tried(V.UNRECOGNISED_400, 400)]
    assert {kind: may_be_done(job(kind), refused) for kind in HANDLERS} == {kind: kind == "file" for kind in HANDLERS}
