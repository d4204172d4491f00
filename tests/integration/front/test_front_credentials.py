"""Credentials of the front: tokens and keys that are forged, of another region, expired or revoked."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from gaugepost import Region
from gaugepost.ledger.api_keys import Scope
from support.gateway import EMAIL, GatewayProcess
from support.hosts import FrontHost
from support.wait import wait_until

RECORD = {"configuration": "map", "record": {"Email": EMAIL}}


def ask(gateway: GatewayProcess, client: str, secret: str, region: str = "eu", **more: Any) -> requests.Response:
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret} | more
    return requests.post(f"{gateway.url}/customergauge/{region}/oauth2/token", data=form, timeout=30)


def token(gateway: GatewayProcess, client: str, secret: str, region: str = "eu") -> str:
    answer = ask(gateway, client, secret, region)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def put(gateway: GatewayProcess, authorization: str, region: str = "eu") -> requests.Response:
    headers = {"Authorization": authorization} if authorization else {}
    url = f"{gateway.url}/customergauge/{region}/records/"
    return requests.put(url, json=RECORD, headers=headers, timeout=30)


def upload(gateway: GatewayProcess, authorization: str, region: str = "eu") -> requests.Response:
    url = f"{gateway.url}/customergauge/{region}/v4.1/transactions/response.json"
    return requests.post(url, data={"Email": EMAIL}, headers={"Authorization": authorization}, timeout=30)


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_secret": "gp_" + "A" * 43},
        {"client_secret": ""},
        {"client_secret": "x" * 10_000},
        {"client_id": "another"},
        {"client_id": ""},
    ],
    ids=str,
)
def test_wrong_client_gets_no_token(front: FrontHost, wrong: dict[str, str]) -> None:
    answer = ask(front.gateway, "crm", front.key, **wrong)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_other_grant_gets_no_token(front: FrontHost) -> None:
    answer = ask(front.gateway, "crm", front.key, grant_type="password")
    assert (answer.status_code, answer.json()) == (400, {"error": "unsupported_grant_type"})


def test_forged_tokens_and_keys_are_refused_in_both_shapes(front: FrontHost) -> None:
    good = token(front.gateway, "crm", front.key)
    last = "A" if good[-1] != "A" else "B"
    forged = ["", "Bearer", "Bearer ", f"Bearer {good[:-2]}{last * 2}", f"Bearer {good}x", f"Basic {good}", good]
    forged += [f"api_key {good}", f"api_key {front.key}", "Bearer gpt_" + "A" * 43, "Bearer gpt_" + "é" * 43]
    forged += ["Bearer " + base64.urlsafe_b64encode(b"{}").decode(), "Bearer " + "x" * 5_000]
    for authorization in forged:
        answer = put(front.gateway, authorization.encode().decode("latin-1"))
        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthenticated."}), authorization
    for authorization in (
        "",
        "api_key",
        "api_key gp_x",
        f"api_key {good}",
        f"Bearer {good}x",
        f"bearer api_key {good}",
    ):
        answer = upload(front.gateway, authorization)
        expected = {"Error": {"Message": "Invalid API key", "Code": 200000}}
        assert (answer.status_code, answer.json()) == (401, expected), authorization
    assert put(front.gateway, f"Bearer {good}").status_code == 200
    assert upload(front.gateway, f"Bearer {good}").status_code == 200
    assert upload(front.gateway, f"api_key {front.key}").status_code == 200


def test_credentials_of_another_region_are_refused(front: FrontHost) -> None:
    of_us = front.gateway.key("us-only", regions=("us",))
    assert ask(front.gateway, "us-only", of_us).status_code == 401
    bearer = f"Bearer {token(front.gateway, 'us-only', of_us, 'us')}"
    assert [put(front.gateway, bearer, region).status_code for region in ("us", "eu", "au")] == [200, 401, 401]
    assert upload(front.gateway, f"api_key {of_us}").status_code == 401
    of_eu = f"Bearer {token(front.gateway, 'crm', front.key)}"
    assert put(front.gateway, of_eu, "us").status_code == 401, "a token is for one region"


def test_token_is_known_to_every_gateway_and_no_key_of_the_api(front: FrontHost, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, front.stack.redis.url) as other:
        bearer = token(front.gateway, "crm", front.key)
        assert put(other, f"Bearer {bearer}").status_code == 200
        assert other.call("GET", "/v1/status", bearer).status_code == 401


def test_revoked_key_ends_its_tokens_within_a_second(front: FrontHost) -> None:
    secret = front.gateway.key("leaving")
    bearer = f"Bearer {token(front.gateway, 'leaving', secret)}"
    assert put(front.gateway, bearer).status_code == 200
    for region in Region:
        front.gateway.producer.ledger(region).api_keys.drop("leaving")
    wait_until(lambda: put(front.gateway, bearer).status_code == 401)
    assert upload(front.gateway, f"api_key {secret}").status_code == 401
    assert ask(front.gateway, "leaving", secret).status_code == 401
    front.gateway.key("leaving")
    assert put(front.gateway, bearer).status_code == 401, "a new key of the name is another key"


def test_expired_key_ends_its_tokens(front: FrontHost) -> None:
    for life_ms in (3_000, 12_000, 48_000):  # on a busy machine it may end before it has a token
        expires = int(time.time() * 1000) + life_ms
        name = f"short-{life_ms}"
        answer = ask(front.gateway, name, front.gateway.put_key(name, expires=expires))
        if answer.status_code == 200:
            break
    bearer = f"Bearer {answer.json()['access_token']}"
    wait_until(lambda: put(front.gateway, bearer).status_code == 401)
    assert time.time() * 1000 >= expires


def test_token_that_redis_lost_is_refused_by_another_gateway(front: FrontHost, tmp_path: Path) -> None:
    secret = front.gateway.key("forgotten")
    with front.stack.redis.client() as client:
        client.delete(*client.scan_iter("gaugepost:{eu}:front_token:*"), "absent")
    bearer = f"Bearer {token(front.gateway, 'forgotten', secret)}"
    with front.stack.redis.client() as client, GatewayProcess(tmp_path, front.stack.redis.url) as other:
        [name] = client.scan_iter("gaugepost:{eu}:front_token:*")
        assert 3_500_000 < client.pttl(name) <= 3_600_000
        client.delete(name)
        assert put(other, bearer).status_code == 401


def test_client_that_asks_again_and_again_makes_few_tokens(front: FrontHost) -> None:
    with front.stack.redis.client() as client:
        client.delete(*client.scan_iter("gaugepost:{eu}:front_token:*"), "absent")
        found = {token(front.gateway, "crm", front.key) for _ in range(30)}
        assert len(list(client.scan_iter("gaugepost:{eu}:front_token:*"))) == len(found) <= 2


def test_key_without_the_scope_is_refused_and_its_source_counts(front: FrontHost) -> None:
    reads = front.gateway.key("reads", scopes=(Scope.READ,))
    answer = put(front.gateway, f"Bearer {token(front.gateway, 'reads', reads)}")
    assert (answer.status_code, "scope enqueue" in answer.json()["message"]) == (403, True)
    shop = front.gateway.key("shop", scopes=(Scope.ENQUEUE,), source="shop")
    answer = put(front.gateway, f"Bearer {token(front.gateway, 'shop', shop)}")
    assert front.stack.producer.job(answer.headers["Gaugepost-Job"], region=Region.EU).job["source"] == "shop"


def test_rate_of_a_key_counts_here_too(front: FrontHost) -> None:
    slow = front.gateway.key("slow", rate=1)
    answers = [upload(front.gateway, f"api_key {slow}") for _ in range(4)]
    [refused, *_] = [answer for answer in answers if answer.status_code == 429]
    assert (refused.json()["Error"]["Code"], int(refused.headers["Retry-After"])) == (429, 1)


def test_neither_log_nor_redis_has_a_token_a_key_or_data(front: FrontHost) -> None:
    bearer = token(front.gateway, "crm", front.key)
    put(front.gateway, f"Bearer {bearer}")
    put(front.gateway, f"Bearer {bearer}x")
    ask(front.gateway, "crm", front.key + "x")
    requests.post(f"{front.gateway.url}/customergauge/eu/oauth2/token?client_secret={front.key}", timeout=30)
    wait_until(lambda: front.gateway.log().count("/oauth2/token") >= 3)
    log = front.gateway.log()
    assert '"route": "/customergauge/{region}/records/"' in log
    with front.stack.redis.client() as client:
        dump = b"".join(client.dump(name) or b"" for name in client.scan_iter("*front_token*"))  # type: ignore[misc]
        names = b"".join(client.scan_iter("*front_token*"))
    for secret in (bearer, front.key, EMAIL):
        assert secret not in log
        assert secret.encode() not in dump + names
