"""Lines to Redis: connections of a client's pool that stay out of it between two commands.

Each command through the client's `execute_command` goes through the pool and redis-py's own metrics too: some 20 of the
170 µs that a single enqueue takes. What they see to is seen to here: no connection crosses a fork, none is used again
whose answer was not taken up, and none that leads to a Redis that is no longer the master.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis


class Lines:
    """The lines of one client. Thread-safe: each is with one caller at a time."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._pid = os.getpid()
        self._idle: list[Any] = []

    def exchange(self, command: Sequence[Any]) -> Any:  # noqa: ANN401 - redis-py's answer
        """Send a command and return its answer; repeated on a new connection as the client's `retry` says.

        Raises redis-py's errors.
        """
        line = self._take()
        try:
            return line.retry.call_with_retry(lambda: _ask(line, command), lambda _: line.disconnect())
        finally:
            self._idle.append(line)

    def _take(self) -> Any:  # noqa: ANN401 - redis-py's connections, and fakeredis', have no type in common
        if self._pid != os.getpid():  # forked: the parent goes on using them
            self._pid, self._idle = os.getpid(), []
        try:
            line = self._idle.pop()
        except IndexError:
            return self._pool.get_connection()
        if self._pool.owns_connection(line) and not line.should_reconnect():
            return line
        self._pool.release(line)  # which closes it
        return self._pool.get_connection()


def _ask(line: Any, command: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
    try:
        line.send_command(*command)
        return line.read_response()
    except ResponseError:
        raise
    except BaseException:  # be it a signal's handler: else this answer would be taken for the next command's
        line.disconnect()
        raise
