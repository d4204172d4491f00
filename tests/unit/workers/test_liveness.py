"""What `/healthz` of a process returns."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry

from gaugepost_workers.http_pages import serve_pages
from gaugepost_workers.liveness import Health, Liveness
from support.redis_server import free_port

STALE = -1.0
"""Every renewal is older than this."""


def test_process_that_renewed_lately_is_well() -> None:
    liveness = Liveness("take work", lambda: "gone")
    liveness.renew()
    health = liveness.check()
    assert health.well
    assert health.why.startswith("last heartbeat ")


def test_stuck_process_is_not_well() -> None:
    health = Liveness("take work").check(STALE)
    assert not health.well
    assert "take work" in health.why


def test_process_without_redis_is_well() -> None:
    assert Liveness("take work", lambda: "gone").check(STALE) == Health(well=True, why="Redis is away: gone")


def answer(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
def test_pages_show_health_beside_metrics(address: str) -> None:
    health = [Health(well=True, why="works")]
    port = free_port()
    server = serve_pages(CollectorRegistry(), address, port, lambda: health[0])
    try:
        base = f"http://{f'[{address}]' if ':' in address else address}:{port}"
        assert answer(f"{base}/healthz") == (200, "well: works\n")
        health[0] = Health(well=False, why="stuck")
        assert answer(f"{base}/healthz") == (503, "not well: stuck\n")
        assert answer(f"{base}/metrics")[0] == 200
    finally:
        server.shutdown()
        server.server_close()
