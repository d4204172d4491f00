"""Keys of the gateway: what each may do, until when, how often; and that no log or Redis has one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from gaugepost import Region
from gaugepost.ledger.api_keys import Scope
from gaugepost_ops.web.callers import VALID_FOR_S
from gaugepost_ops.web.key_reading import LOOK_EVERY_S, READ_EVERY_S
from support.gateway import EMAIL, GatewayProcess, job
from support.redis_server import RedisServer
from support.wait import wait_until


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer gp_", "Bearer gp_" + "A" * 43, "Basic Z3A6Z3A=", "Bearer gp_" + "x" * 5_000],
    ids=lambda header: str(header)[:20],
)
def test_request_without_a_valid_key_is_refused(gateway: GatewayProcess, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = gateway.call("POST", "/v1/jobs", headers=headers, json=job())
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="gaugepost"')


def test_revoked_key_ends_at_once(gateway: GatewayProcess) -> None:
    assert READ_EVERY_S < VALID_FOR_S < 1.0  # a key that was read earlier counts no more
    key = gateway.key()
    assert gateway.post(key, job()).status_code == 201
    for region in Region:
        gateway.producer.ledger(region).api_keys.drop("crm")
    wait_until(lambda: gateway.post(key, job()).status_code == 401)
    assert gateway.post(key, job()).status_code == 401


def test_new_key_works_at_once_in_all_its_regions(gateway: GatewayProcess) -> None:
    for turn in range(20):
        now = int(time.time() * 1000)
        key = gateway.put_key(f"new-{turn}", created=now)
        region = (*Region,)[turn % len(Region)]
        assert gateway.post(key, job(region=region)).status_code == 201
        later = gateway.put_key(f"later-{turn}", regions=("eu",), created=now)
        with ThreadPoolExecutor(1) as pool:  # its second region is written while the first request looks it up
            pool.submit(gateway.call, "GET", "/v1/status", later)
        assert gateway.post(later, job()).status_code == 201


def test_guessed_keys_cost_few_readings(gateway: GatewayProcess, server: RedisServer) -> None:
    def guess(n: int) -> int:
        return requests.get(f"{gateway.url}/v1/status", headers={"Authorization": f"Bearer gp_{n:043}"}).status_code

    with server.client() as client, ThreadPoolExecutor(50) as pool:
        client.config_resetstat()
        began = time.monotonic()
        assert {*pool.map(guess, range(400))} == {401}
        called = sum(one["calls"] for name, one in client.info("commandstats").items() if "hgetall" in name)
        seconds = time.monotonic() - began
    a_second = 1 / LOOK_EVERY_S + 1 / READ_EVERY_S
    assert called <= 2 * len(Region) * (seconds * a_second + 3)  # keys and their uses


def test_long_poll_of_a_revoked_key_shows_nothing(gateway: GatewayProcess, server: RedisServer) -> None:
    unused = gateway.put_key("unused", rate=1_000)
    other = gateway.key("other")
    path = gateway.post(other, job()).headers["Location"]
    headers = {"Authorization": f"Bearer {unused}"}
    with ThreadPoolExecutor(1) as pool, server.client() as client:
        waiting = pool.submit(requests.get, f"{gateway.url}{path}?wait=60", headers=headers)
        wait_until(lambda: list(client.scan_iter("*api_rate*")), what="the request is counted, so it waits")
        for region in Region:
            gateway.producer.ledger(region).api_keys.drop("unused")
        wait_until(lambda: gateway.post(unused, job()).status_code == 401)
        gateway.call("POST", f"{path}/cancel", other)
        assert waiting.result().status_code == 401


def test_key_that_is_revoked_in_one_region_works_in_the_others(gateway: GatewayProcess) -> None:
    key = gateway.key()
    gateway.producer.ledger(Region.EU).api_keys.drop("crm")
    wait_until(lambda: gateway.post(key, job()).status_code == 403)
    assert gateway.post(key, job(region="us")).status_code == 201


def test_expired_key_is_refused(gateway: GatewayProcess) -> None:
    expires = int(time.time() * 1000) + 1_500
    key = gateway.put_key("crm", expires=expires)
    wait_until(lambda: gateway.post(key, job()).status_code == 401)
    assert time.time() * 1000 >= expires


def test_key_may_do_only_what_its_scopes_say(gateway: GatewayProcess) -> None:
    writes, reads = gateway.key("w", scopes=(Scope.ENQUEUE,)), gateway.key("r", scopes=(Scope.READ,))
    made = gateway.post(writes, job())
    assert made.status_code == 201
    refused = gateway.post(reads, job())
    assert (refused.status_code, refused.json()["detail"]) == (403, "this key lacks the scope enqueue: it has read")
    path = made.headers["Location"]
    assert [gateway.call("GET", path, key).status_code for key in (reads, writes)] == [200, 403]


def test_key_of_another_region_neither_enqueues_nor_reads(gateway: GatewayProcess) -> None:
    of_all, of_us = gateway.key("all"), gateway.key("us", regions=("us",))
    made = gateway.post(of_all, job())
    assert gateway.post(of_us, job()).status_code == 403
    assert gateway.post(of_us, [job(region="us"), job()]).status_code == 403
    assert gateway.call("GET", made.headers["Location"], of_us).status_code == 404
    assert gateway.post(of_us, job(region="us")).status_code == 201


def test_source_of_the_key_is_that_of_its_jobs(gateway: GatewayProcess) -> None:
    key = gateway.key(source="crm")
    ids = [gateway.post(key, body).json()["id"] for body in (job(), job(source="another"))]
    ids += [row["id"] for row in gateway.post(key, [job(source="third")]).json()]
    assert [gateway.producer.job(one).job["source"] for one in ids] == ["crm"] * 3


def test_rate_of_a_key_is_shared_by_all_gateways(gateway: GatewayProcess, server: RedisServer, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, server.url) as other:
        slow, free = gateway.key("slow", rate=1), gateway.key("free")
        began = time.monotonic()
        answers = [one.call("GET", "/v1/jobs/absent", slow) for one in (gateway, other) * 10]
        most = 1 + int(time.monotonic() - began + 0.01)  # Redis counts whole milliseconds
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(answers) - len(refused) <= most
        assert refused
        assert all(1 <= int(answer.headers["Retry-After"]) <= 2 for answer in refused)
        assert gateway.call("GET", "/v1/jobs/absent", free).status_code == 404


def test_key_that_cannot_be_parsed_stops_no_later_reading(gateway: GatewayProcess, server: RedisServer) -> None:
    key = gateway.key()
    with server.client() as client:
        client.hset("gaugepost:{eu}:api_keys", "broken", '{"secret')
        wait_until(lambda: gateway.post(key, job()).status_code == 503)
        assert gateway.post(key, job(region="us")).status_code == 201
        client.hdel("gaugepost:{eu}:api_keys", "broken")
    wait_until(lambda: gateway.post(key, job()).status_code == 201)
    assert gateway.log().count('"region": "eu", "error": "JSONDecodeError"') == 1


def test_last_use_of_a_key_is_noted(gateway: GatewayProcess) -> None:
    gateway.key("used")
    wait_until(lambda: gateway.producer.ledger(Region.US).api_keys.read().keys[0].used)


def test_no_log_and_no_redis_has_a_key_or_data(gateway: GatewayProcess, server: RedisServer) -> None:
    key = gateway.key()
    made = gateway.post(key, job(idempotency_key="secret-order"))
    gateway.post(key, job(record={"Email": EMAIL, "n": []}))
    gateway.call("GET", f"{made.headers['Location']}?wait=0&email={EMAIL}", key)
    gateway.call("GET", f"/{key}", key)
    refused = gateway.log().count('"status": 401')
    gateway.post(key + "x", job())
    wait_until(lambda: gateway.log().count('"status": 401') > refused, what="the last request is in the log")
    log = gateway.log()
    assert '"route": "/v1/jobs/{job_id}"' in log
    for secret in (key, EMAIL, "secret-order", made.json()["id"]):
        assert secret not in log
    with server.client() as client:
        assert not [name for name in client.scan_iter() if key.encode() in (client.dump(name) or b"")]  # type: ignore[operator]
        assert key.encode() not in client.hget("gaugepost:{eu}:api_keys", "crm")  # type: ignore[operator]


def denied(gateway: GatewayProcess) -> list[tuple[str, str, str, str]]:
    entries = gateway.producer.ledger(Region.EU).audit.read()
    return sorted((one.actor, one.action, one.via, one.error) for one in entries if one.outcome == "denied")


def test_denied_changes_are_recorded_once_a_minute(gateway: GatewayProcess) -> None:
    reads = gateway.key("only-reads", scopes=(Scope.READ,))
    for _ in range(3):
        assert gateway.post(reads, job()).status_code == 403
        assert gateway.call("POST", f"/v1/jobs/{'0' * 32}/replay", reads).status_code == 403
        assert gateway.call("POST", "/v1/holds", reads, json={"region": "eu", "reason": "a"}).status_code == 403
        assert gateway.call("DELETE", "/v1/holds/eu", reads).status_code == 403
    actions = ("hold", "replay", "resume")
    wait_until(lambda: {row[1] for row in denied(gateway)} >= {*actions})
    assert [row for row in denied(gateway) if row[1] in actions] == [
        ("only-reads", action, "api", "Refused") for action in actions
    ]


def test_denied_reading_is_not_recorded(gateway: GatewayProcess) -> None:
    writes = gateway.key("only-writes", scopes=(Scope.ENQUEUE,))
    assert gateway.call("GET", "/v1/status", writes).status_code == 403
    assert gateway.call("POST", "/v1/holds", writes, json={"region": "eu", "reason": "a"}).status_code == 403
    wait_until(lambda: ("only-writes", "hold", "api", "Refused") in denied(gateway))
    assert {row[1] for row in denied(gateway)} <= {"enqueue", "hold"}
