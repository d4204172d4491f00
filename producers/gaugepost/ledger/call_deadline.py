"""One deadline for a call to Redis: the wait for a connection, the connecting and all retries share it.

redis-py knows a timeout for each step and a number of retries. A web request that enqueues wants an answer within a
time, however many steps that takes.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

RETRIES = 3
"""Few: every call may be repeated, but a caller wants to hear of trouble within seconds."""

_ATTEMPT = 0.45
"""How much of the deadline one attempt may take: a connection that has died unnoticed leaves time for another one."""


class _Thread(threading.local):
    ends: float | None = None


_thread = _Thread()


class deadline:  # noqa: N801 - a context manager, as contextlib would make one, at a fifth of its cost
    """Give the calls of this thread so many seconds in all (None: no deadline); inside another deadline, its rest."""

    __slots__ = ("_begins", "_seconds")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._begins = self._seconds is not None and _thread.ends is None
        if self._begins and self._seconds is not None:
            _thread.ends = time.monotonic() + self._seconds

    def __exit__(self, *_: object) -> None:
        if self._begins:
            _thread.ends = None


def left() -> float | None:
    """Return the seconds that are left to this thread's calls, perhaps none; None without a deadline."""
    ends = _thread.ends
    return None if ends is None else max(0.0, ends - time.monotonic())


class DeadlineRetry(Retry):
    """Retries as redis-py does, but begins no attempt that could end after the deadline."""

    def __init__(self, seconds: float) -> None:
        super().__init__(ExponentialWithJitterBackoff(base=0.05, cap=0.5), RETRIES)
        self._seconds = seconds
        self.attempt = seconds * _ATTEMPT
        """Seconds that one attempt may take: what the socket's timeouts are to be."""

    def call_with_retry(
        self,
        do: Callable[[], T],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,  # noqa: FBT001, FBT002 - redis-py's signature
    ) -> T:
        """Run it until it succeeds, its retries are used up, or the deadline is too near for another attempt."""

        def failed(error: Exception, *count: int) -> None:
            fail(error, *count)
            if (left() or 0.0) < self.attempt:
                raise error

        if _thread.ends is not None:
            return super().call_with_retry(do, failed, is_retryable, with_failure_count)
        with deadline(self._seconds):
            return super().call_with_retry(do, failed, is_retryable, with_failure_count)
