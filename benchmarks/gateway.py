"""The gateway beside a bare Starlette route and beside the client: `python -m benchmarks.gateway` (two minutes).

All figures are ratios of one run: the same client and payload, 64 kept connections, rounds in turn. The bare route
reads the body and answers 201 with a body of the same size, under the same uvicorn. Client, server and Redis share the
cores, so the ratio of the servers' CPU time is the one that another load of the machine changes least.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from gaugepost import Producer, Region, Settings
from gaugepost.ledger.api_keys import ApiKey, Scope, digest_of, new_secret

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.redis_server import RedisServer, free_port

CONNECTIONS = 64
JOB = {
    "kind": "record",
    "region": "eu",
    "configuration": "9dd58237-2d41-4c55-9f7e-6b2a3f0c1d11",
    "record": {"Account Name": "ACME", "Email": "joe.doe@example.com", "NPS Score": "10"},
}
BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
ANSWER = b'{"id":"af1dfffc9d55c61f9c6273a36d3cc4c0","region":"eu","kind":"record","state":"queued","duplicate":false}'
async def answer(request):
    await request.body()
    return Response(ANSWER, 201, media_type="application/json")
app = Starlette(routes=[Route("/v1/jobs", answer, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), http="httptools", loop="uvloop", access_log=False, log_level="warning")
"""


class Load:
    """Requests over kept connections. `pace`: requests a second in all, None: as fast as they are answered."""

    def __init__(self, port: int, pid: int, key: str) -> None:
        self._pid = pid
        self.cpu_us = 0.0
        """CPU time of the server for a request of the latest run, µs."""
        body = json.dumps(JOB).encode()
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        self._request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self._port = port
        self.took: list[float] = []

    async def run(self, seconds: float, pace: float | None = None) -> float:
        """Return requests a second."""
        self.took = []
        before = cpu_seconds(self._pid)
        ends = time.perf_counter() + seconds
        await asyncio.gather(*(self._connection(ends, pace and CONNECTIONS / pace, n) for n in range(CONNECTIONS)))
        self.cpu_us = (cpu_seconds(self._pid) - before) / len(self.took) * 1e6
        return len(self.took) / seconds

    async def _connection(self, ends: float, every: float | None, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        due = time.perf_counter() + (every or 0) * number / CONNECTIONS
        while (now := time.perf_counter()) < ends:
            if every is not None:
                await asyncio.sleep(max(0.0, due - now))
                # uvloop wakes up to 1 ms early: such a request is sent before it is due. A late one counts from then.
                now, due = min(due, time.perf_counter()), due + every
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 201"), head
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            self.took.append(time.perf_counter() - now)
        writer.close()

    def percentile(self, part: float) -> float:
        """Return a percentile of the latest run in ms."""
        return sorted(self.took)[int(len(self.took) * part)] * 1000


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def process(*command: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen([sys.executable, *command], env=os.environ | (env or {}), stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait()


async def listens(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


def new_key(producer: Producer) -> str:
    secret = new_secret()
    producer.ledger(Region.EU).api_keys.put(ApiKey("bench", digest_of(secret), tuple(Scope), ("eu",)))
    return secret


async def send_lines(port: int, key: str, lines: int) -> float:
    """Return JSON lines a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    line = json.dumps(JOB).encode() + b"\n"
    body = line * lines
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    began = time.perf_counter()
    writer.write(body)
    answer = await reader.read(-1)
    took = time.perf_counter() - began
    assert answer.count(b'"state":"queued"') == lines, answer[:500]
    writer.close()
    return lines / took


def enqueue_many(producer: Producer, number: int) -> float:
    began = time.perf_counter()
    producer.enqueue_many(JOB for _ in range(number))
    return number / (time.perf_counter() - began)


def enqueue_loop(producer: Producer, number: int) -> float:
    began = time.perf_counter()
    for _ in range(number):
        producer.enqueue(JOB)
    return number / (time.perf_counter() - began)


async def measure(
    server: RedisServer, bare: tuple[int, int], gateway: tuple[int, int], rounds: int, seconds: float
) -> dict[str, float]:
    """Return the medians of all rounds. `bare`, `gateway`: port and process id."""
    gc.disable()  # a pause of this client would count as one of the server
    with Producer(Settings.given(redis_url=server.url)) as producer:
        key = new_key(producer)
        await listens(bare[0])
        await listens(gateway[0])
        await asyncio.sleep(2)
        loads = {"bare": Load(*bare, key), "gateway": Load(*gateway, key)}
        found: dict[str, list[float]] = {}

        def note(name: str, value: float) -> None:
            found.setdefault(name, []).append(value)

        for _ in range(rounds):
            for name, load in loads.items():
                note(name, await load.run(seconds))
                note(f"{name} CPU µs", load.cpu_us)
            for name, load in loads.items():
                await load.run(seconds, pace=statistics.median(found[name]) / 2)
                note(f"{name} p50", load.percentile(0.5))
                note(f"{name} p99", load.percentile(0.99))
            note("lines", await send_lines(gateway[0], key, 20_000))
            note("enqueue_many", await asyncio.to_thread(enqueue_many, producer, 20_000))
            note("enqueue", await asyncio.to_thread(enqueue_loop, producer, 2_000))
            with server.client() as client:
                for name in list(client.scan_iter("gaugepost:{eu}:*", count=10_000)):
                    if not name.endswith(b":api_keys"):
                        client.unlink(name)
        return {name: statistics.median(values) for name, values in found.items()}


def report(found: dict[str, float], write: Callable[[str], object]) -> None:
    rows = (
        ("single enqueues, × a bare route", found["gateway"] / found["bare"]),
        ("single enqueues, CPU of the bare route / of the gateway", found["bare CPU µs"] / found["gateway CPU µs"]),
        ("single enqueues, × Producer.enqueue in a loop", found["gateway"] / found["enqueue"]),
        ("p99 / p50 at half load", found["gateway p99"] / found["gateway p50"]),
        ("p99 / p50 at half load of the bare route", found["bare p99"] / found["bare p50"]),
        ("JSON lines, × enqueue_many", found["lines"] / found["enqueue_many"]),
    )
    write("".join(f"{what:58} {ratio:5.2f}\n" for what, ratio in rows))
    write(", ".join(f"{name} {value:,.1f}" for name, value in found.items()) + "\n")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder)).start()
        bare, gateway = free_port(), free_port()
        env = {"GAUGEPOST_REDIS_URL": server.url, "GAUGEPOST_REGIONS": "eu", "GAUGEPOST_BACKLOG_LIMIT": "100000000"}
        try:
            with (
                process("-c", BARE, str(bare)) as plain,
                process("-m", "gaugepost_ops", "serve", "--port", str(gateway), env=env) as ours,
            ):
                work = measure(server, (bare, plain.pid), (gateway, ours.pid), given.rounds, given.seconds)
                report(uvloop.run(work), sys.stdout.write)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
