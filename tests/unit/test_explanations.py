"""Check the explanations of holds: each hold of gaugepost names its cause and the next action."""

from __future__ import annotations

import pytest

from gaugepost.ledger.explanations import action, meaning, meaning_of_reason
from gaugepost.ledger.holds import Hold

OAUTH = "credentials:oauth"
PROXY = "proxy: h:1: timed out"
PERSON = Hold("", "EU_API_KEY is not set", "ann", 0)


def hold(scope: str, verdict: str, reason: str = "x") -> Hold:
    return Hold(scope, reason, "gaugepost", 0, probe_at=1, verdict=verdict)


@pytest.mark.parametrize(
    ("one", "about", "to_do"),
    [
        (hold("endpoints:imports", "throttled"), "asks to send more slowly", "Nothing to do"),
        (hold("", "server_error"), "failed in a row", "Nothing to do"),
        (hold("", "unreachable", PROXY), "the egress proxy fails", "Repair the proxy"),
        (
            hold(OAUTH, "unreachable", PROXY),
            "the egress proxy fails",
            "Repair the proxy",
        ),
        (hold(OAUTH, "unreachable"), "no access token", "a worker asks again"),
        (hold(OAUTH, "server_error"), "no access token", "a worker asks again"),
        (hold(OAUTH, "throttled"), "no access token", "a worker asks again"),
        (
            hold(OAUTH, "refused_credentials"),
            "refuses",
            "_US_CLIENT_ID and GAUGEPOST_US_CLIENT_SECRET",
        ),
        (hold("credentials:api_key", "refused_credentials"), "refuses", "Correct GAUGEPOST_US_API_KEY"),
        (
            hold("credentials:api_key", "refused_credentials", "US_API_KEY is not set"),
            "lack a credential",
            "Set GAUGEPOST_US_API_KEY",
        ),
        (hold("configuration:x", "unknown_mapping"), "does not know", "Correct the mapping"),
        (hold("configuration:x", "wrong_mapping_type"), "data type", "Correct the mapping"),
        (hold("configuration:x", "mapping_drift"), "the mapping was changed", "Correct the mapping"),
    ],
)
def test_hold_explains_its_cause_and_the_next_action(one: Hold, about: str, to_do: str) -> None:
    assert about in meaning(one)
    assert to_do in action(one, "us")


def test_operators_hold_gets_no_explanation() -> None:
    assert (meaning(PERSON), action(PERSON, "eu")) == ("", "")


def test_one_word_reason_without_its_hold_is_explained() -> None:
    assert meaning_of_reason("throttled") == "CustomerGauge asks to send more slowly"
    assert meaning_of_reason("credentials")
    assert meaning_of_reason("credentials", lifted=True).startswith("the hold is lifted")
    assert (meaning_of_reason("server_error"), meaning_of_reason(None)) == ("", "")
