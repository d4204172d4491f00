"""Keys of the gateway in the ledger: stored once by name, revoked, expired by Redis' clock, and their rate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gaugepost.ledger.api_keys import ApiKey, ApiKeyCalls, Scope, digest_of, new_secret
from support.ledger_harness import Bench

KEY = ApiKey("crm", digest_of(new_secret()), (Scope.ENQUEUE, Scope.READ), ("eu", "us"), "crm", None, 5, 1_000, "ann")


@pytest.fixture
def calls(bench: Bench) -> ApiKeyCalls:
    return ApiKeyCalls(bench.ledger.keys)


def test_key_is_read_as_it_was_stored(bench: Bench) -> None:
    assert bench.ledger.api_keys.put(KEY)
    assert bench.ledger.api_keys.read().keys == (KEY,)


def test_name_is_given_once_and_a_repeated_call_is_no_second(bench: Bench) -> None:
    keys = bench.ledger.api_keys
    assert [keys.put(KEY), keys.put(KEY), keys.put(replace(KEY, digest="other"))] == [True, True, False]
    assert keys.read().keys == (KEY,)


def test_revoked_key_is_gone_with_its_last_use(bench: Bench, calls: ApiKeyCalls) -> None:
    keys, run = bench.ledger.api_keys, bench.ledger._run
    keys.put(KEY)
    assert run(calls.read(["crm", "absent"])).keys[0].used == run(calls.read()).now
    assert [keys.drop("crm"), keys.drop("crm")] == [True, False]
    keys.put(KEY)
    assert keys.read().keys == (KEY,)


def test_key_ends_by_the_clock_of_redis(bench: Bench) -> None:
    keys = bench.ledger.api_keys
    now = keys.read().now
    keys.put(replace(KEY, name="old", expires=now))
    keys.put(replace(KEY, name="new", expires=now + 60_000))
    found = keys.read()
    assert [key.name for key in found.valid()] == ["new"]
    assert len(found.keys) == 2


def test_rate_lets_a_second_of_requests_through(bench: Bench, calls: ApiKeyCalls) -> None:
    def count(rate: int = 5) -> int:
        return bench.ledger._run(calls.count(KEY, rate))

    assert [count() for _ in range(5)] == [0] * 5
    assert 0 < count() <= 200
    bench.clock.go(400)
    assert [count(), count()] == [0, 0]
    assert count() > 0
    bench.clock.go(60_000)
    assert [count(1), count(1) > 0] == [0, True]


def test_field_of_a_newer_version_is_ignored(bench: Bench) -> None:
    text = KEY.to_json().replace('["enqueue"', '["invent", "enqueue"').replace('"by"', '"more": 1, "by"')
    assert ApiKey.read("crm", text.encode(), None) == KEY


def test_write_is_tried_for_readyz(bench: Bench, calls: ApiKeyCalls) -> None:
    assert bench.ledger._run(calls.ready())
