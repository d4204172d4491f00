"""Close idle connections at the receiver while Redis is slow to store the sending mark."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gaugepost import Region, Response
from gaugepost.ledger.scripts import load_scripts
from support.proxy import Proxy
from support.stack import Stack
from support.wait import wait_until

MARK = hashlib.sha1(load_scripts()["mark"].encode()).hexdigest().encode()
COUNT = 20


@pytest.mark.parametrize("adapter", ["direct", "urllib3"])
def test_connection_closed_during_the_mark_makes_no_response_unknown(tmp_path: Path, adapter: str) -> None:
    with Stack(tmp_path, http_adapter=adapter) as stack:
        simulator = urlsplit(stack.settings.api_url).port
        assert simulator is not None
        with Proxy(simulator) as front, Proxy(stack.redis.port) as redis:
            for name, value in stack.variables.items():
                stack.variables[name] = value.replace(f"127.0.0.1:{simulator}", f"127.0.0.1:{front.port}").replace(
                    f":{stack.redis.port}/", f":{redis.port}/"
                )
            cuts: list[int] = []

            def close_idle(message: bytes) -> bool:
                if MARK in message:
                    cuts.append(front.cut())
                return False

            redis.lose_requests(1, when=close_idle)  # drops nothing: `when` sees every message
            jobs = [Response(region=Region.EU, fields={"Email": f"p{i}@example.net"}) for i in range(COUNT)]
            receipts = list(stack.producer.enqueue_many(jobs))
            stack.worker(concurrency=1)
            wait_until(lambda: (c := stack.counts())["delivered"] + c["unknown"] == COUNT, what="all are settled")
            assert sum(cuts) > COUNT // 2  # a connection made just then may not be known yet
            assert stack.keys() == {receipt.id: 1 for receipt in receipts}
            assert stack.counts()["delivered"] == COUNT
            stack.end()
