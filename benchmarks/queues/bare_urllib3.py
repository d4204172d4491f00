"""The floor with threads: BLPOP, PUT by urllib3, SET with a TTL. Not durable: a crash loses claimed jobs.

python -m benchmarks.queues.bare_urllib3 PROCESSES THREADS
"""

from __future__ import annotations

import json
import os
import sys
import threading
from itertools import islice
from typing import TYPE_CHECKING

import redis
import urllib3

from benchmarks import job

if TYPE_CHECKING:
    from collections.abc import Iterable

QUEUE = "bare"
client = redis.Redis.from_url(job.REDIS_URL)


def message(number: int) -> bytes:
    return json.dumps([number, job.payload(number)], separators=(",", ":")).encode()


def enqueue(number: int) -> None:
    client.rpush(QUEUE, message(number))


def enqueue_all(numbers: Iterable[int]) -> None:
    left = iter(numbers)
    while batch := list(islice(left, job.PIPELINE)):
        pipe = client.pipeline(transaction=False)
        for number in batch:
            pipe.rpush(QUEUE, message(number))
        pipe.execute()


def work(http: urllib3.HTTPConnectionPool) -> None:
    mine = redis.Redis.from_url(job.REDIS_URL)
    while True:
        found = mine.blpop([QUEUE], timeout=1)
        if found is None:
            continue
        number, record = json.loads(found[1])
        answer = http.request("PUT", job.RECORDS, body=job.body(record), timeout=30, retries=False)
        assert answer.status == 200  # noqa: PLR2004 - HTTP's
        mine.set(f"status:{number}", json.dumps(job.status(number)), ex=job.STATUS_TTL_S)


def main(processes: int, threads: int) -> None:
    for _ in range(processes - 1):
        if os.fork() == 0:
            break
    http = urllib3.connection_from_url(job.STUB_URL, maxsize=threads, headers=job.HEADERS)
    workers = [threading.Thread(target=work, args=(http,), daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
