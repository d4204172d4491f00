"""Give workers of one region different credentials: a refused one stops neither the other workers nor their token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost.transitions import HoldSpec
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from support.ledger_harness import Bench

OAUTH = "credentials:oauth"
MINUTE_MS = 60_000


def refusal(fingerprint: str | None) -> HoldSpec:
    verdict = Verdict.REFUSED_CREDENTIALS
    return HoldSpec(OAUTH, "HTTP 401", verdict, (MINUTE_MS,), label="credentials", fingerprint=fingerprint)


def share(bench: Bench, fingerprint: str, sealed: bytes = b"sealed") -> int:
    assert bench.ledger.token(fingerprint, 36_000, fingerprint).to_fetch
    return bench.ledger.put_token(fingerprint, sealed, 3_600_000, 3_300_000, fingerprint)


def fail(bench: Bench, fingerprint: str | None, who: str = "w1") -> None:
    assert bench.ledger.token(who, 36_000, fingerprint or "").to_fetch
    bench.ledger.put_token_failure(who, "failed", refusal(fingerprint), fingerprint or "")


# The token


def test_token_of_another_credential_is_neither_given_nor_replaced(bench: Bench) -> None:
    assert share(bench, "aaaa") == 1
    shared = bench.ledger.token("bbbb", 36_000, "bbbb")
    assert (shared.sealed, shared.to_fetch) == (b"", True)
    assert bench.ledger.put_token("bbbb", b"another", 3_600_000, 3_300_000, "bbbb") == 0
    assert bench.ledger.token("w1", 36_000, "aaaa").sealed == b"sealed"


def test_token_of_another_credential_is_replaced_once_it_has_ended(bench: Bench) -> None:
    share(bench, "aaaa")
    bench.clock.go(3_600_000)
    assert share(bench, "bbbb", b"another") == 2
    assert bench.ledger.token("w2", 36_000, "bbbb").sealed == b"another"


def test_refused_token_makes_room_for_that_of_another_credential(bench: Bench) -> None:
    assert bench.ledger.drop_token(share(bench, "aaaa"))
    assert share(bench, "bbbb") == 2


def test_token_of_an_older_worker_counts_as_ones_own(bench: Bench) -> None:
    share(bench, "aaaa")
    bench.client.hdel(bench.ledger.keys["token"], "credential")
    assert bench.ledger.token("w2", 36_000, "bbbb").sealed == b"sealed"


def test_failure_of_another_credential_stops_no_fetch(bench: Bench) -> None:
    fail(bench, "bbbb")
    assert bench.ledger.token("w2", 36_000, "bbbb").failure == b"failed"
    assert bench.ledger.token("w3", 36_000, "aaaa").to_fetch


# Who is refused alone


@pytest.mark.parametrize("need", ["oauth", "api_key"])
def test_refused_credential_is_alone_while_another_is_accepted(bench: Bench, need: str) -> None:
    note = bench.ledger.note_credential
    assert not note(need, "bbbb", "refused")
    assert not note(need, "aaaa", "accepted")
    assert note(need, "bbbb", "refused")
    assert note(need, "bbbb", "")
    assert not note(need, "bbbb", "accepted")


def test_credential_for_other_endpoints_has_no_effect(bench: Bench) -> None:
    bench.ledger.note_credential("oauth", "aaaa", "accepted")
    assert not bench.ledger.note_credential("api_key", "bbbb", "refused")


def test_token_of_another_credential_says_that_it_is_accepted(bench: Bench) -> None:
    share(bench, "aaaa")
    assert not bench.ledger.note_credential("api_key", "bbbb", "refused")
    assert not bench.ledger.note_credential("oauth", "aaaa", "refused")
    assert bench.ledger.note_credential("oauth", "bbbb", "refused")


def test_last_answer_about_a_credential_counts_and_not_for_long(bench: Bench) -> None:
    note = bench.ledger.note_credential
    note("oauth", "aaaa", "accepted")
    bench.clock.go(2 * MINUTE_MS)
    assert note("oauth", "bbbb", "refused")
    bench.clock.go(MINUTE_MS)
    assert not note("oauth", "bbbb", "")
    assert not note("oauth", "bbbb", "refused"), "the other was accepted too long ago"
    assert bench.client.hlen(bench.ledger.keys["credentials"]) == 1, "what counts no more is forgotten"
    note("oauth", "aaaa", "accepted")
    note("oauth", "aaaa", "refused")
    assert not note("oauth", "bbbb", "refused"), "both are refused"


# Holds


def test_worker_with_another_credential_lifts_the_hold_unless_that_is_refused_too(bench: Bench) -> None:
    fail(bench, "bbbb")
    for own in ({"oauth": "bbbb"}, {"api_key": "aaaa"}, {}):
        bench.ledger.promote(own)
        assert OAUTH in bench.ledger.holds()
    bench.ledger.note_credential("oauth", "aaaa", "refused")
    bench.ledger.promote({"oauth": "aaaa"})
    assert OAUTH in bench.ledger.holds()
    bench.clock.go(MINUTE_MS)
    bench.ledger.promote({"oauth": "aaaa"})
    assert bench.ledger.holds() == {}
    assert bench.ledger.token("w2", 36_000, "bbbb").failure == b""


def test_hold_without_a_fingerprint_ends_with_a_worker_that_has_the_credential(bench: Bench) -> None:
    fail(bench, None)
    bench.ledger.promote({"oauth": "aaaa"})
    assert bench.ledger.holds() == {}


def test_operators_or_unrelated_hold_is_not_lifted(bench: Bench) -> None:
    bench.ledger.hold("credentials:api_key", "new key", "ann")
    assert bench.ledger.token("w1", 36_000, "bbbb").to_fetch
    hold = HoldSpec(OAUTH, "timed out", Verdict.UNREACHABLE, (MINUTE_MS,), label="credentials")
    bench.ledger.put_token_failure("w1", "failed", hold, "bbbb")
    bench.ledger.promote({"oauth": "aaaa", "api_key": "cccc"})
    assert set(bench.ledger.holds()) == {OAUTH, "credentials:api_key"}
