"""One deadline for a whole call of Redis: the wait for a connection, the connecting and all retries.

redis-py has a timeout for each step and a number of retries. A web request that enqueues needs one limit for all of
them.
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
"""Retries of a call. Few, because the caller needs to know of a failure within seconds."""

_ATTEMPT = 0.45
"""The share of the deadline that one attempt may take: after a dead connection there is time for a second attempt."""


class _Thread(threading.local):
    ends: float | None = None


_thread = _Thread()


class deadline:  # noqa: N801 - a context manager as contextlib makes one, at a fifth of its cost
    """Limit all calls of this thread together to `seconds` (None: no limit). An outer deadline takes precedence."""

    __slots__ = ("_is_outermost", "_seconds")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._is_outermost = self._seconds is not None and _thread.ends is None
        if self._is_outermost and self._seconds is not None:
            _thread.ends = time.monotonic() + self._seconds

    def __exit__(self, *_: object) -> None:
        if self._is_outermost:
            _thread.ends = None


def left() -> float | None:
    """Return the seconds until this thread's deadline, at least 0; None without a deadline."""
    ends = _thread.ends
    return None if ends is None else max(0.0, ends - time.monotonic())


class DeadlineRetry(Retry):
    """Retry as redis-py does, but start no attempt that could end after the deadline."""

    def __init__(self, seconds: float) -> None:
        super().__init__(ExponentialWithJitterBackoff(base=0.05, cap=0.5), RETRIES)
        self._seconds = seconds
        self.attempt = seconds * _ATTEMPT
        """Seconds that one attempt may take; the timeout of its socket."""

    def call_with_retry(
        self,
        do: Callable[[], T],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,  # noqa: FBT001, FBT002 - redis-py's signature
    ) -> T:
        """Call `do` until it succeeds, no retry is left, or the deadline is too near for another attempt."""

        def failed(error: Exception, *count: int) -> None:
            fail(error, *count)
            if (left() or 0.0) < self.attempt:
                raise error

        if _thread.ends is not None:
            return super().call_with_retry(do, failed, is_retryable, with_failure_count)
        with deadline(self._seconds):
            return super().call_with_retry(do, failed, is_retryable, with_failure_count)
