"""Lines to Redis: connections of a client's pool that stay out of it between two commands.

Each command through the client's `execute_command` goes through the pool and redis-py's own metrics too: some 20 of the
170 µs that a single enqueue takes. What they see to is seen to here: no connection crosses a fork, none is used again
whose answer was not taken up, that Redis has closed, or that leads to a Redis which is no longer the master.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError, ResponseError, TimeoutError  # noqa: A004 - redis-py's names

from gaugepost.ledger.call_deadline import left

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import redis


LOOK_AFTER_S = 0.5
"""A line that was in use so lately is not looked at before it is used again: were it closed, that costs a retry."""


class NoConnectionFree(TimeoutError):  # noqa: N818 - its name is what StoreUnreachable says
    """All connections were in use for as long as a call may take."""


class Lines:
    """The lines of one client. Thread-safe: each is with one caller at a time."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._most = self._pool.max_connections // 2  # the client's other commands need connections too
        self._turns: SimpleQueue[None] = SimpleQueue()  # a semaphore that costs little
        for _ in range(max(1, self._most)):
            self._turns.put(None)
        self._pid = os.getpid()
        self._idle: list[tuple[Any, float]] = []

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until a line may be used, at most until the thread's deadline. Raises redis-py's TimeoutError."""
        self._await_turn()
        try:
            yield
        finally:
            self._turns.put(None)

    def _await_turn(self) -> None:
        try:
            self._turns.get(timeout=left())
        except Empty:
            raise NoConnectionFree("other calls kept all connections until the deadline") from None

    def exchange(self, command: Sequence[Any]) -> Any:  # noqa: ANN401 - redis-py's answer
        """Send a command and return its answer; repeated on a new connection as the client's `retry` says.

        Raises redis-py's errors.
        """
        self._await_turn()
        try:
            return self._exchange(command)
        finally:
            self._turns.put(None)

    def _exchange(self, command: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
        line = self._take()
        try:
            answer = line.retry.call_with_retry(lambda: _ask(line, command), lambda _: line.disconnect())
        except ResponseError:
            self._keep(line)
            raise
        except BaseException:  # be it a signal's handler: the answer would be taken for the next command's
            self._drop(line)
            raise
        self._keep(line)
        return answer

    def _take(self) -> Any:  # noqa: ANN401 - redis-py's connections, and fakeredis', have no type in common
        if self._pid != os.getpid():  # forked: the parent goes on using them
            self._idle, self._pid = [], os.getpid()
        try:
            line, since = self._idle.pop()
        except IndexError:
            return self._pool.get_connection()
        if self._is_fit(line, since):
            return line
        self._drop(line)
        return self._pool.get_connection()

    def _is_fit(self, line: Any, since: float) -> bool:  # noqa: ANN401 - as above
        """Tell whether it still leads where it should, and is still open with nothing to read on it."""
        if not self._pool.owns_connection(line) or line.should_reconnect():
            return False
        try:
            return time.monotonic() - since < LOOK_AFTER_S or not line.can_read()
        except (ConnectionError, TimeoutError):
            return False

    def _keep(self, line: Any) -> None:  # noqa: ANN401 - as above
        if len(self._idle) < self._most:
            self._idle.append((line, time.monotonic()))
        else:
            self._pool.release(line)

    def _drop(self, line: Any) -> None:  # noqa: ANN401 - as above
        """Give it back closed: the pool opens it anew, and asks the sentinels first."""
        line.disconnect()
        self._pool.release(line)


def _ask(line: Any, command: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
    line.send_command(*command)
    return line.read_response()
