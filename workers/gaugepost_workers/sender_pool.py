"""The threads that send jobs. Each takes the next job as soon as it is free, so none waits for a slow job."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.ledger import Claimed


class SenderPool:
    """A fixed number of sender threads with one queue. `send` gets each job, in one of the threads."""

    def __init__(self, threads: int, send: Callable[[Claimed], None], name: str) -> None:
        self.threads = threads
        self._send = send
        self._waiting: queue.SimpleQueue[Claimed] = queue.SimpleQueue()
        for n in range(threads):
            threading.Thread(target=self._loop, name=f"{name}-{n}", daemon=True).start()

    def _loop(self) -> None:
        while True:
            self._send(self._waiting.get())

    def put(self, claimed: Claimed) -> None:
        """Queue a job for the next free thread."""
        self._waiting.put(claimed)

    def take_back(self) -> list[Claimed]:
        """Remove and return the jobs that no thread has taken yet."""
        waiting: list[Claimed] = []
        try:
            while True:
                waiting.append(self._waiting.get_nowait())
        except queue.Empty:
            return waiting
