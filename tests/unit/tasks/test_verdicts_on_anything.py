"""Any answer gets a verdict, and none raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugepost.verdict import Verdict
from gaugepost_tasks.answers.retry_after import read_retry_after
from gaugepost_tasks.endpoints.handlers import HANDLERS
from gaugepost_tasks.http_messages import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.jobs import AnyJob
    from gaugepost_tasks.http_messages import Judgement

    MakeJob = Callable[..., AnyJob]
    MakeAnswer = Callable[..., Answer]
    Judge = Callable[..., Judgement]

V = Verdict
LINKS = {
    "number_customergauge": 12345,
    "survey_link": "https://survey.eu.customergauge.com/r/987656abcdef",
    "survey_link_short": "https://cust.xx/987656abcdef",
}


# Any bytes.

BODIES = st.binary() | st.sampled_from(
    [b"[" * 100_000, b"<a>" * 50_000, b'{"message":"\\ud800","errors":{"\\ud800":["x"]}}']
)
MEMBERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["message", "errors", "Error", "Data", "data", "Message", "Code", "survey_link", "status"])


@given(
    st.sampled_from(list(HANDLERS)), st.integers(0, 1000), BODIES, st.dictionaries(st.just("retry-after"), st.text()),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_any_bytes_are_judged(
    job: MakeJob, judged: Judge, kind: str, status: int, body: bytes, headers: dict[str, str], fresh: bool, lost: bool
) -> None:
    got = judged(job(kind), Answer(status, headers, body), fresh_token=fresh, may_be_done=lost)
    assert len(got.message) <= 300
    got.message.encode()


JSON = st.dictionaries(NAMES, MEMBERS | st.dictionaries(NAMES, MEMBERS))


@given(st.sampled_from(list(HANDLERS)), st.sampled_from([200, 400, 404, 422]), JSON)
def test_any_json_is_judged(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, status: int, body: object
) -> None:
    got = judged(job(kind), answer(status, body))
    assert len(got.field_errors) <= 20
    assert status != 200 or got.verdict not in {V.UNRECOGNISED_400, V.UNRECOGNISED_404, V.UNRECOGNISED_422}


# Retry-After.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("0", 0),
        (" 120 ", 120),
        ("1.5", 1.5),
        ("999999999", 999_999_999),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90),
        ("Thu, 01 Jan 1970 00:01:40 -0000", 90),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 01 Jan 9999 00:00:00 GMT", 253_370_764_790),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert read_retry_after(text, 10.0) == seconds


def test_retry_after_date_is_read_by_the_servers_clock() -> None:
    until, date = "Thu, 01 Jan 2026 00:01:40 GMT", "Thu, 01 Jan 2026 00:01:30 GMT"
    for workers_clock in (0.0, 1767225690.0, 1767243690.0):  # far behind, right, five hours ahead
        assert read_retry_after(until, workers_clock, date) == 10
    assert read_retry_after(until, 1767225680.0, "no date") == 20
