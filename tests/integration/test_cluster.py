"""Check that each process refuses a Redis Cluster at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugepost import Record, Region
from gaugepost.errors import ClusterNotSupported
from support.redis_server import RedisServer, free_port
from support.stack import Stack
from support.wait import wait_until

MESSAGE = "this is a Redis Cluster, which gaugepost does not support"


@pytest.fixture(params=["whole", "down"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """Start a stack on a cluster of one node. With `down` the node has no slots."""
    options = ("--cluster-enabled", "yes", "--cluster-config-file", str(tmp_path / "nodes.conf"))
    # Its own choice, the port + 10,000, may be one that Linux has lent to an outgoing connection.
    server = RedisServer(tmp_path, *options, "--cluster-port", str(free_port()))
    with Stack(tmp_path, redis=server) as stack:
        if request.param == "whole":
            with server.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
                wait_until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
        yield stack


def test_producer_raises(stack: Stack) -> None:
    with pytest.raises(ClusterNotSupported, match=MESSAGE):
        stack.producer.enqueue(Record(region=Region.EU, configuration="survey", record={"Email": "joe@example.net"}))


@pytest.mark.parametrize("command", [("check",), ("worker", "--region", "eu")])
def test_command_ends_and_says_so(stack: Stack, command: tuple[str, ...]) -> None:
    done = stack.cli(*command)
    assert done.returncode == 4
    assert MESSAGE in done.stderr
