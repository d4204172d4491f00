"""The limit of Python: aiohttp, jobs popped and statuses written in batches, claimed jobs kept in Redis.

    python -m benchmarks.queues.bare_aiohttp PROCESSES TASKS

LMOVE to a list of this process, PUT, then SET with a TTL and LREM. Each batch is one pipeline.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import redis.asyncio
import uvloop

from benchmarks import job
from benchmarks.queues import sending
from benchmarks.queues.bare_urllib3 import QUEUE, enqueue, enqueue_all

__all__ = ["enqueue", "enqueue_all"]

AT_ONCE = 50
FLUSH_S = 0.004


class Loop:
    """The loop of one process: pop as many jobs as there are free tasks, write the statuses of sent jobs."""

    def __init__(self, tasks: int) -> None:
        self._redis = redis.asyncio.Redis.from_url(job.REDIS_URL)
        self._mine = f"in-hand:{os.getpid()}"
        self._room = tasks
        self._freed = asyncio.Event()
        self._sent: list[tuple[bytes, int, dict[str, int]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        self._begin(self._write())
        while True:
            while self._room <= 0:
                self._freed.clear()
                await self._freed.wait()
            for message in await self._pop(min(self._room, AT_ONCE)):
                self._room -= 1
                self._begin(self._send(message))

    def _begin(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _pop(self, count: int) -> list[bytes]:
        pipe = self._redis.pipeline(transaction=False)
        for _ in range(count):
            pipe.lmove(QUEUE, self._mine, "LEFT", "RIGHT")
        if found := [message for message in await pipe.execute() if message]:
            return found
        first = await self._redis.blmove(QUEUE, self._mine, 1, "LEFT", "RIGHT")
        return [first] if first else []

    async def _send(self, message: bytes) -> None:
        number, record = json.loads(message)
        status = await sending.put_async(number, record)
        self._sent.append((message, number, status))
        self._room += 1
        self._freed.set()

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            sent, self._sent = self._sent, []
            if not sent:
                continue
            pipe = self._redis.pipeline(transaction=False)
            for message, number, status in sent:
                pipe.set(f"status:{number}", json.dumps(status), ex=job.STATUS_TTL_S)
                pipe.lrem(self._mine, 1, message)
            await pipe.execute()


async def work(tasks: int) -> None:
    await Loop(tasks).run()


def main(processes: int, tasks: int) -> None:
    for _ in range(processes - 1):
        if os.fork() == 0:
            break
    uvloop.run(work(tasks))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
