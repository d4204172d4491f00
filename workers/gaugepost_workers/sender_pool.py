"""The threads that send: one job after another from a queue, so that none waits for the slowest of a parcel."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.ledger import Claimed


class SenderPool:
    """So many threads, and the jobs that wait for one of them."""

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
        """Have a job sent as soon as a thread is free."""
        self._waiting.put(claimed)

    def take_back(self) -> list[Claimed]:
        """Take out all that have not begun."""
        waiting: list[Claimed] = []
        try:
            while True:
                waiting.append(self._waiting.get_nowait())
        except queue.Empty:
            return waiting
