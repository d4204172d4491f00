"""Regions that have their own Redis: one of them is away, and no answer hides that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway import GatewayProcess, job
from support.redis_server import RedisServer
from support.wait import wait_until


@pytest.fixture
def regional(server: RedisServer, tmp_path: Path) -> Iterator[GatewayProcess]:
    """Give each region its own URL, with a user of its name."""
    with server.client() as client:
        client.flushall()
        for region in ("eu", "us", "au"):
            client.acl_setuser(
                region, enabled=True, passwords=["+pass"], keys=["*"], channels=["*"], categories=["+@all"]
            )
        with GatewayProcess(tmp_path, f"redis://{{region}}:pass@127.0.0.1:{server.port}/0") as gateway:
            yield gateway
        client.acl_deluser("eu", "us", "au")


def test_region_that_is_away_is_named(regional: GatewayProcess, server: RedisServer) -> None:
    key = regional.key()
    of_eu = regional.key("eu", regions=("eu",))
    assert regional.post(key, job(idempotency_key="a", batch="of-eu")).status_code == 201
    hook = regional.call("POST", "/v1/webhooks", key, json={"url": "https://crm.example/hooks"}).json()["id"]
    with server.client() as client:
        client.acl_deluser("us")
    wait_until(lambda: regional.post(key, job(region="us")).status_code == 503)
    wait_until(lambda: '"region": "us"' in regional.log(), what="the keys of us are not read")

    def answer(path: str, who: str = key) -> tuple[int, object]:
        got = regional.call("GET", path, who)
        return got.status_code, got.json().get("not_asked")

    named = ["/v1/status", "/v1/uploads", "/v1/holds", "/v1/jobs?key=a", "/v1/batches/of-eu"]
    wait_until(lambda: answer("/v1/jobs") == (503, None))
    assert [answer(path) for path in named] == [(200, ["us"])] * len(named)
    assert [answer(path)[0] for path in ("/v1/jobs", "/v1/batches/of-us", "/v1/jobs?region=us")] == [503] * 3
    assert answer("/v1/jobs?region=eu") == (200, None)
    assert [answer(path, of_eu) for path in (*named, "/v1/jobs")] == [(200, None)] * (len(named) + 1)
    assert answer("/v1/batches/of-us", of_eu)[0] == 404
    assert regional.call("DELETE", f"/v1/webhooks/{hook}", key).status_code == 503
    assert [one["id"] for one in regional.call("GET", "/v1/webhooks", of_eu).json()["webhooks"]] == [hook]
