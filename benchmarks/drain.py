"""How fast jobs go in and out, against the bare floor: a loop of PUTs with a keep-alive connection a thread, no queue.

    python benchmarks/drain.py [JOBS]

Everything runs on this machine: a real Redis with its append-only file on, the simulator, one worker of one process.
Ratios count; absolutes are context. (The comparison with other queues is issue 5's.)
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from gaugepost import Record, Region
from support.stack import Stack
from support.wait import wait_until

THREADS = 16


def records(count: int) -> list[Record]:
    cells = {f"Field {i}": "v" * 20 for i in range(16)}
    return [
        Record(region=Region.EU, configuration="multi-object", record={"Email": f"p{i}@example.net", **cells})
        for i in range(count)
    ]


def floor(stack: Stack, count: int) -> float:
    """PUT as many records from plain threads; return how many a second."""
    env = stack.sim.env()
    token = requests.post(
        env["GAUGEPOST_AUTH_URL"].format(region="eu") + "/oauth2/token",
        data={"grant_type": "client_credentials", "client_id": "eu-client", "client_secret": "eu-secret"},
        timeout=5,
    ).json()["access_token"]
    url = env["GAUGEPOST_IMPORTS_URL"].format(region="eu") + "/records/"
    body = records(1)[0].model_dump_json(include={"configuration", "record"})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def loop() -> None:
        session = requests.Session()
        session.trust_env = False
        for _ in range(count // THREADS):
            session.put(url, data=body, headers=headers, timeout=5)

    threads = [threading.Thread(target=loop) for _ in range(THREADS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count / (time.perf_counter() - started)


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        bare = floor(stack, count)
        jobs = records(count)
        started = time.perf_counter()
        for _ in stack.producer.enqueue_many(jobs):
            pass
        enqueued = count / (time.perf_counter() - started)
        worker = stack.worker(concurrency=THREADS)
        wait_until(lambda: stack.counts()["delivered"] > 0)
        before, started = stack.counts()["delivered"], time.perf_counter()
        wait_until(lambda: stack.counts()["delivered"] == count, within=300)
        drained = (count - before) / (time.perf_counter() - started)
        worker.terminate()
        print(f"bare loop of requests   {bare:8,.0f} jobs/s   1.00")
        print(f"gaugepost, enqueued     {enqueued:8,.0f} jobs/s   {enqueued / bare:.2f}")
        print(f"gaugepost, delivered    {drained:8,.0f} jobs/s   {drained / bare:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
