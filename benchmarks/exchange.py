"""Measure one exchange: CPU of the client's process for a PUT of 500 bytes to the stub, on an open connection.

    python -m benchmarks.exchange [ROUNDS]

One thread; each round runs all clients in turn; the results are medians. `ops/decisions/0003-http.md` shows a run.
"""

from __future__ import annotations

import gc
import socket
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import requests

from benchmarks import job
from gaugepost_tasks.http import DirectAdapter, HttpClient, Urllib3Adapter
from gaugepost_tasks.http.connection import Connection
from gaugepost_tasks.http.exchange import Exchange, Headers, target_of
from gaugepost_tasks.http.tls import tls_context
from gaugepost_tasks.http_messages import Request, common_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests.adapters import BaseAdapter

_COUNTS = {"fast": 2_000, "slow": 400}


def _bare(url: str, request: Request, credential: str) -> Callable[[], object]:
    """Return a function that sends on a `Connection`, without requests' objects and without a client."""
    target = target_of(url)
    connection = Connection(target.origin, 5, tls_context())

    def send() -> object:
        exchange = Exchange()
        exchange.method, exchange.url, exchange.body = request.method, url, request.body
        exchange.headers = Headers(
            {**request.headers, "Authorization": credential, "Content-Length": str(len(request.body))}
        )
        exchange.begin(5, 30)
        exchange.start_request()
        connection.send(exchange.head(target) + request.body, exchange)
        return connection.receive(exchange.content, exchange.deadline)

    return send


def _session(url: str, headers: dict[str, str], adapter: BaseAdapter | None = None) -> Callable[[], object]:
    session = requests.Session()
    session.trust_env = False
    session.headers.update(headers)
    if adapter is not None:
        session.mount("http://", adapter)
    data = job.body(job.payload(1))
    return lambda: session.put(url, data=data, timeout=30)


def ways(url: str) -> dict[str, tuple[str, Callable[[], object]]]:
    """Return name → (speed class, function that sends once)."""
    credential = job.HEADERS["Authorization"]
    request = Request("PUT", url, common_headers("x" * 26, "application/json"), job.body(job.payload(1)), "bearer")
    headers = {**request.headers, "Authorization": credential}
    direct, stock = HttpClient(5, 30, 4), HttpClient(5, 30, 4, adapter="urllib3")
    return {
        "a connection alone": ("fast", _bare(url, request, credential)),
        "HttpClient, DirectAdapter": ("fast", lambda: direct.exchange(request, credential)),
        "the same, with a hook": ("fast", lambda: direct.exchange(request, credential, lambda: None)),
        "HttpClient, Urllib3Adapter": ("slow", lambda: stock.exchange(request, credential)),
        "Session.put, DirectAdapter": ("slow", _session(url, headers, DirectAdapter())),
        "Session.put, Urllib3Adapter": ("slow", _session(url, headers, Urllib3Adapter())),
        "Session.put": ("slow", _session(url, headers)),
    }


def cost_us(send: Callable[[], object], count: int) -> float:
    """Return this process' CPU time for one exchange, in µs."""
    for _ in range(20):
        send()
    gc.collect()
    started = time.process_time()
    for _ in range(count):
        send()
    return (time.process_time() - started) / count * 1e6


def main(rounds: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stub = subprocess.Popen([sys.executable, "-m", "benchmarks.stub", str(port)])
    try:
        _wait_for(port)
        sending = ways(f"http://127.0.0.1:{port}{job.RECORDS}")
        costs: dict[str, list[float]] = {name: [] for name in sending}
        for _ in range(rounds):
            for name, (speed, send) in sending.items():
                costs[name].append(cost_us(send, _COUNTS[speed]))
    finally:
        stub.terminate()
    for name, found in costs.items():
        print(f"{name:28} {statistics.median(found):7.1f} µs")


def _wait_for(port: int) -> None:
    for _ in range(500):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise TimeoutError("the stub does not listen")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
