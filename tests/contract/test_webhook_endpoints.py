"""Endpoints of webhooks in the ledger: stored once, bounded in number, and their secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gaugepost.ledger.webhook_records import MOST_ENDPOINTS, Endpoint, new_endpoint_id, new_secret
from support.factories import record
from support.ledger_harness import Bench

URL = "https://receiver.example/hook"


def add(bench: Bench) -> str:
    endpoint = Endpoint(new_endpoint_id(), URL, (), ("eu",))
    assert bench.ledger.webhooks.put(endpoint, new_secret())
    return endpoint.id


def end_one(bench: Bench, **more: Any) -> None:
    bench.put(record(**more))
    [claimed] = bench.claim()
    assert bench.settle(claimed)


def test_endpoint_is_read_as_it_was_stored(bench: Bench) -> None:
    endpoint = Endpoint(new_endpoint_id(), URL, ("job.dead",), ("eu", "us"), "crm", True, 1_000, "ann")
    webhooks = bench.ledger.webhooks
    assert [webhooks.put(endpoint, "whsec_a"), webhooks.put(endpoint, "whsec_b")] == [True, True]
    assert webhooks.read() == [endpoint]
    assert webhooks.secrets(endpoint.id, 0) == ["whsec_a"]
    assert [webhooks.drop(endpoint.id), webhooks.drop(endpoint.id)] == [True, False]
    assert (webhooks.read(), webhooks.secrets(endpoint.id, 0)) == ([], [])


def test_number_of_endpoints_is_bounded(bench: Bench) -> None:
    for _ in range(MOST_ENDPOINTS):
        add(bench)
    assert not bench.ledger.webhooks.put(Endpoint(new_endpoint_id(), URL), new_secret())


def test_former_secret_signs_until_its_end(bench: Bench) -> None:
    endpoint, webhooks = add(bench), bench.ledger.webhooks
    [first] = webhooks.secrets(endpoint, 0)
    assert webhooks.rotate(endpoint, "whsec_second", 1_000, 5_000)
    assert webhooks.rotate(endpoint, "whsec_third", 2_000, 9_000)
    assert webhooks.secrets(endpoint, 4_999) == ["whsec_third", "whsec_second", first]
    assert webhooks.secrets(endpoint, 5_000) == ["whsec_third", "whsec_second"]
    assert webhooks.secrets(endpoint, 9_000) == ["whsec_third"]
    assert not webhooks.rotate("wh-absent", "whsec_x", 1, 2)


@pytest.mark.parametrize("sealed", [False, True])
def test_secret_is_encrypted_if_there_is_a_data_key(client: Any, sealed: bool) -> None:
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    bench = Bench(client, **({"data_key": key} if sealed else {}))
    endpoint, secret = Endpoint(new_endpoint_id(), URL, source="crm"), new_secret()
    bench.ledger.webhooks.put(endpoint, secret)
    stored = bench.client.hget(bench.ledger.keys["webhook_secrets"], endpoint.id)
    assert (secret.encode() in stored) is not sealed
    assert bench.ledger.webhooks.secrets(endpoint.id, 0) == [secret]
    assert secret not in json.dumps(bench.ledger.webhooks.read()[0].to_dict())
    for source in ("crm", "erp", None):
        end_one(bench, source=source)
    assert bench.ledger.webhooks.read()[0].numbers.waiting == 1
