"""`Memory`: the store of the producers in memory. It is fakeredis with the real Lua scripts and a movable clock.

`tests/contract` runs the same tests on fakeredis and on a real Redis. The scripts differ in one place only: to Redis'
time they add the seconds by which the test has moved the clock.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript, Script
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis
    import redis.asyncio

    from gaugepost.jobs import JobBase
    from gaugepost.testing.outcomes import Outcome

from gaugepost.keys import NAMESPACE, Keys
from gaugepost.regions import Region

try:
    import fakeredis
except ImportError as error:
    raise ImportError("gaugepost.testing needs more: pip install 'gaugepost[testing]'") from error

_OFFSET = "gaugepost.testing:ahead"
_TIME = "redis.call('TIME')"
_MOVED_TIME = f"(function(t) t[1] = t[1] + (redis.call('GET', '{_OFFSET}') or 0) return t end)({_TIME})"


@cache
def _with_movable_clock(text: str, kind: type[Any]) -> Any:  # noqa: ANN401 - either class of script
    """Return a script whose clock can be moved. Cached, because its hash takes longer than its run."""
    return kind(None, text.replace(_TIME, _MOVED_TIME).encode())


class _Client(fakeredis.FakeRedis):
    def register_script(self, script: Any) -> Script:  # noqa: ANN401 - as in redis-py
        return _with_movable_clock(script, Script)  # type: ignore[no-any-return]


class _AsyncClient(fakeredis.FakeAsyncRedis):
    def register_script(self, script: Any) -> AsyncScript:  # type: ignore[override] # noqa: ANN401 - as in redis-py
        return _with_movable_clock(script, AsyncScript)  # type: ignore[no-any-return]


class Memory:
    """The store that producers in memory share, its clock, and the outcomes that a test set for kinds of job."""

    def __init__(self, namespace: str = NAMESPACE) -> None:
        self._keys = {region: Keys(region, namespace) for region in Region}
        self._server = fakeredis.FakeServer()
        self._offset = 0
        self.client: redis.Redis = _Client(server=self._server, retry=Retry(NoBackoff(), 0))
        self.client.set_response_callback("TIME", self._moved)
        self.lock = threading.RLock()
        self.outcomes: dict[type[JobBase], Outcome] = {}
        self.full = False
        """Whether the backlog of each region is full."""

    def async_client(self) -> redis.asyncio.Redis:
        """Return an asyncio client of the store."""
        client = _AsyncClient(server=self._server, retry=AsyncRetry(NoBackoff(), 0))
        client.set_response_callback("TIME", self._moved)
        return client

    def _moved(self, response: Any, **_: Any) -> Any:  # noqa: ANN401 - as in redis-py
        return int(response[0]) + self._offset, int(response[1])

    def now(self) -> float:
        """Return the time of the store's clock, Unix seconds."""
        return time.time() + self._offset

    def advance(self, seconds: int) -> None:
        """Move the clock of the scripts forward, and shorten the time to live of all keys by as much."""
        self._offset += seconds
        for key in list(self.client.scan_iter()):
            left: int = self.client.pttl(key)
            if left > seconds * 1000:
                self.client.pexpire(key, left - seconds * 1000)
            elif left > 0:
                self.client.delete(key)
        self.client.set(_OFFSET, self._offset)

    def ids(self) -> dict[Region, list[str]]:
        """Return the ids of all jobs, by region."""
        found: dict[Region, list[str]] = {}
        names = {region: keys.of("job:", "") for region, keys in self._keys.items()}
        for key in map(bytes.decode, self.client.scan_iter(match="*:job:*", count=1000)):
            region = next(region for region, prefix in names.items() if key.startswith(prefix))
            found.setdefault(region, []).append(key.removeprefix(names[region]))
        return found

    def register_workers(self) -> None:
        """Register a worker in each region that never ends; otherwise explanations say that a worker is missing."""
        for keys in self._keys.values():
            self.client.hset(keys["workers"], "gaugepost.testing", "0:99999999999999")

    def has_work(self, region: Region) -> bool:
        """Return whether a region has queued or waiting jobs; False while the store is unreachable."""
        if not self._server.connected:
            return False
        found: list[bytes | None] = self.client.hmget(self._keys[region]["counts"], "queued", "waiting")  # type: ignore[assignment]
        return any(map(int, filter(None, found)))

    def set_reachable(self, *, yes: bool) -> None:
        """Make the store reachable or unreachable."""
        self._server.connected = yes

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Refuse every command within a `with` statement, as if the connection were cut."""
        self.set_reachable(yes=False)
        try:
            yield
        finally:
            self.set_reachable(yes=True)

    @contextmanager
    def with_full_backlog(self) -> Iterator[None]:
        """Report a full backlog of each region within a `with` statement."""
        self.full = True
        try:
            yield
        finally:
            self.full = False
