"""The process: probes, metrics, SIGTERM, a Redis that is away or takes no writes, and the description."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from gaugepost import Region
from gaugepost_ops.web.app import build_api
from gaugepost_ops.web.callers import VALID_FOR_S
from support.deployment import ROOT
from support.gateway import GatewayProcess, job
from support.redis_server import RedisServer
from support.stack import Stack
from support.wait import wait_until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[RedisServer, GatewayProcess]]:
    """Start a Redis and a gateway that the test may break."""
    server = RedisServer(tmp_path).start()
    try:
        with GatewayProcess(tmp_path, server.url) as gateway:
            yield server, gateway
    finally:
        server.stop()


def ready(gateway: GatewayProcess) -> bool:
    return gateway.call("GET", "/readyz").status_code == 200


def test_job_is_delivered_and_its_result_is_the_answer(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack, GatewayProcess(tmp_path, stack.redis.url) as gateway:
        stack.worker()
        key = gateway.key()
        made = gateway.post(key, job(kind="personal_link"))
        shown = gateway.call("GET", f"{made.headers['Location']}?wait=60", key).json()
        assert (shown["state"], shown["verdict"]) == ("delivered", "delivered")
        assert shown["result"]["survey_link"].startswith("http")


def test_redis_that_does_not_answer_gives_503_and_no_acceptance(own: tuple[RedisServer, GatewayProcess]) -> None:
    server, gateway = own
    key = gateway.key()
    job_id = gateway.post(key, job()).json()["id"]
    with server.frozen():
        assert not ready(gateway)
        assert gateway.call("GET", "/healthz").status_code == 200
        for answer in (
            gateway.post(key, job()),
            gateway.post(key, [job()]),
            gateway.call("GET", f"/v1/jobs/{job_id}", key),
        ):
            assert (answer.status_code, answer.json()["status"]) == (503, 503)
            assert int(answer.headers["Retry-After"]) >= 1
    wait_until(lambda: ready(gateway))
    wait_until(lambda: gateway.post(key, job()).status_code == 201)


def test_redis_that_is_killed_comes_back(own: tuple[RedisServer, GatewayProcess]) -> None:
    server, gateway = own
    key = gateway.key()
    server.kill()
    assert gateway.post(key, job()).status_code == 503
    assert not ready(gateway)
    server.start()
    wait_until(lambda: gateway.post(key, job(), Idempotency_Key="a").status_code in {200, 201})


def test_redis_without_memory_makes_it_not_ready(own: tuple[RedisServer, GatewayProcess]) -> None:
    server, gateway = own
    key = gateway.key()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "1")
        wait_until(lambda: not ready(gateway))
        answer = gateway.post(key, job())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert "out of memory" in answer.json()["detail"]
        client.config_set("maxmemory", "0")
    wait_until(lambda: ready(gateway))
    assert gateway.post(key, job()).status_code == 201


@pytest.mark.parametrize(
    ("refuse", "accept"),
    [("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"), ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE")],
)
def test_redis_that_refuses_writes_still_answers_reads(
    own: tuple[RedisServer, GatewayProcess], refuse: str, accept: str
) -> None:
    server, gateway = own
    path = gateway.post(gateway.key(), job()).headers["Location"]
    unused, limited = (gateway.put_key(name, rate=rate) for name, rate in (("unused", None), ("limited", 1_000)))
    with redis.Redis.from_url(server.url) as client:
        client.execute_command(*refuse.split())
        wait_until(lambda: gateway.call("GET", path, unused).status_code == 200)
        began = time.monotonic()
        while time.monotonic() - began < 3 * VALID_FOR_S:
            answers = [gateway.call("GET", one, key) for one in (path, "/v1/status") for key in (unused, limited)]
            assert [answer.status_code for answer in answers] == [200] * 4
        assert gateway.post(unused, job()).status_code == 503
        client.execute_command(*accept.split())
    wait_until(lambda: all(key.used for key in gateway.producer.ledger(Region.EU).api_keys.read().keys))


def test_full_backlog_gives_503(server: RedisServer, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, server.url, backlog_limit="1") as gateway:
        key = gateway.key("full")
        answers = [gateway.post(key, job()) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 503]
        assert answers[1].headers["Retry-After"] == "30"


def test_sigterm_answers_the_requests_that_wait(own: tuple[RedisServer, GatewayProcess]) -> None:
    _, gateway = own
    key = gateway.key()
    job_id = gateway.post(key, job()).json()["id"]
    began = threading.Event()

    def wait() -> str:
        began.set()
        return str(gateway.call("GET", f"/v1/jobs/{job_id}?wait=60", key).json()["state"])

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(wait) for _ in range(8)]
        wait_until(lambda: sum('"status"' in line for line in gateway.log().splitlines()) >= 1 and began.is_set())
        gateway.terminate()
        states = [one.result() for one in waiting if one.exception() is None]
    assert set(states) <= {"queued"}
    assert gateway.process is not None
    assert gateway.process.wait(30) == 0


def test_metrics_count_requests_by_route_status_and_key(gateway: GatewayProcess) -> None:
    key = gateway.key("counted")
    gateway.post(key, job())
    gateway.call("GET", "/no/such/path")
    text = gateway.call("GET", "/metrics").text
    for expected in (
        'gaugepost_gateway_requests_total{method="POST",route="/v1/jobs",status="201"} ',
        'gaugepost_gateway_requests_total{method="GET",route="-",status="404"} ',
        'gaugepost_gateway_request_seconds_bucket{le="0.1",route="/v1/jobs"} ',
        'gaugepost_gateway_key_requests_total{key="counted"} ',
    ):
        assert expected in text
    assert "/no/such/path" not in text


def test_description_is_the_committed_one_and_names_all_routes(gateway: GatewayProcess) -> None:
    committed = json.loads((ROOT / "docs/openapi.json").read_text())
    assert gateway.call("GET", "/openapi.json").json() == committed
    routes = {
        (route.path.replace(":path", ""), method.lower())  # type: ignore[attr-defined]
        for route in build_api().router.routes
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]
    }
    assert routes == {(path, method) for path, methods in committed["paths"].items() for method in methods}


def test_port_that_is_taken_ends_the_process(gateway: GatewayProcess, tmp_path: Path, server: RedisServer) -> None:
    other = GatewayProcess(tmp_path, server.url)
    other.port = gateway.port
    other.url = "http://127.0.0.1:1"
    with pytest.raises(AssertionError, match="address already in use"), other:
        pass
    assert other.process is not None
    assert other.process.wait(10) == 1
    other.http.close()
    other.producer.close()


def test_texts_of_redis_reach_the_log_and_no_caller(gateway: GatewayProcess, server: RedisServer) -> None:
    key, job_id = gateway.key(), "0" * 32
    with server.client() as client:
        client.set(f"gaugepost:{{eu}}:job:{job_id}", "not a job")
    answer = gateway.call("GET", f"/v1/jobs/{job_id}", key)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json()["detail"] == "the gateway cannot use Redis: its log has the reason"
    wait_until(lambda: "WRONGTYPE" in gateway.log())
