"""Connections to Redis that stay outside of redis-py's pool between two commands.

redis-py's `execute_command` takes a connection from the pool and returns it for each command, and collects metrics:
about 20 of the 170 µs of a single enqueue. This module saves that, and keeps the pool's guarantees. A forked child uses
no connection of its parent. A connection is not used again if its last answer was not read, if Redis closed it, or if
its Redis is no longer the master.
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


CHECK_AFTER_S = 0.5
"""A connection used within this time is not checked before its next use. If Redis closed it, the command is retried."""


class NoConnectionFree(TimeoutError):  # noqa: N818 - the message of StoreUnreachable contains this name
    """All connections were in use until the deadline of the call."""


class Connections:
    """The connections of one client. Thread-safe: one caller at a time uses a connection."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._limit = self._pool.max_connections // 2  # the client's own commands need the other half
        self._permits: SimpleQueue[None] = SimpleQueue()  # a cheap semaphore
        for _ in range(max(1, self._limit)):
            self._permits.put(None)
        self._pid = os.getpid()
        self._idle: list[tuple[Any, float]] = []

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Wait for a permit to use a connection, at most until the thread's deadline. Raises NoConnectionFree."""
        self._acquire_permit()
        try:
            yield
        finally:
            self._permits.put(None)

    def _acquire_permit(self) -> None:
        try:
            self._permits.get(timeout=left())
        except Empty:
            raise NoConnectionFree("other calls used all connections until the deadline") from None

    def exchange(self, command: Sequence[Any]) -> Any:  # noqa: ANN401 - redis-py's answer
        """Send a command and return its answer. Retry on a new connection, as the client's `retry` allows.

        Raises redis-py's errors.
        """
        self._acquire_permit()
        try:
            return self._exchange(command)
        finally:
            self._permits.put(None)

    def _exchange(self, command: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
        connection = self._take()
        try:
            answer = connection.retry.call_with_retry(
                lambda: _ask(connection, command), lambda _: connection.disconnect()
            )
        except ResponseError:
            self._keep(connection)
            raise
        except BaseException:  # also from a signal handler: the next command would read this answer
            self._drop(connection)
            raise
        self._keep(connection)
        return answer

    def _take(self) -> Any:  # noqa: ANN401 - the connections of redis-py and fakeredis have no common type
        if self._pid != os.getpid():  # after a fork: the parent still uses these
            self._idle, self._pid = [], os.getpid()
        try:
            connection, since = self._idle.pop()
        except IndexError:
            return self._pool.get_connection()
        if self._is_fit(connection, since):
            return connection
        self._drop(connection)
        return self._pool.get_connection()

    def _is_fit(self, connection: Any, since: float) -> bool:  # noqa: ANN401 - as above
        """Return whether a connection is open, has no unread answer, and its Redis is still the right one."""
        if not self._pool.owns_connection(connection) or connection.should_reconnect():
            return False
        try:
            return time.monotonic() - since < CHECK_AFTER_S or not connection.can_read()
        except (ConnectionError, TimeoutError):
            return False

    def _keep(self, connection: Any) -> None:  # noqa: ANN401 - as above
        if len(self._idle) < self._limit:
            self._idle.append((connection, time.monotonic()))
        else:
            self._pool.release(connection)

    def _drop(self, connection: Any) -> None:  # noqa: ANN401 - as above
        """Close a connection and return it to the pool, which asks the sentinels before it opens it again."""
        connection.disconnect()
        self._pool.release(connection)


def _ask(connection: Any, command: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
    connection.send_command(*command)
    return connection.read_response()
