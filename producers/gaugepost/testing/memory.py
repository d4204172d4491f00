"""The store of the producers in memory: a Redis that runs in this process, with the real scripts and a clock to move.

It is fakeredis, which runs the very Lua that Redis does; `tests/contract` holds the ledger over it to what it is over
Redis. One thing is put in on the way: where a script asks for the time, the hours are added that the test let pass.
"""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript, Script
from redis.retry import Retry

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    from gaugepost.jobs import JobBase
    from gaugepost.testing.outcomes import Ending

from gaugepost.keys import NAMESPACE, Keys
from gaugepost.regions import Region

try:
    import fakeredis
except ImportError as error:
    raise ImportError("gaugepost.testing needs more: pip install 'gaugepost[testing]'") from error

_AHEAD = "gaugepost.testing:ahead"
_TIME = "redis.call('TIME')"
_LATER = f"(function(t) t[1] = t[1] + (redis.call('GET', '{_AHEAD}') or 0) return t end)({_TIME})"


@cache
def _with_the_clock(text: str, kind: type[Any]) -> Any:  # noqa: ANN401 - either class of script
    """Return a script whose clock can be moved. Kept, since its hash costs more than a run; it knows no client."""
    return kind(None, text.replace(_TIME, _LATER).encode())


class _Client(fakeredis.FakeRedis):
    def register_script(self, script: Any) -> Script:  # noqa: ANN401 - as in redis-py
        return _with_the_clock(script, Script)  # type: ignore[no-any-return]


class _AsyncClient(fakeredis.FakeAsyncRedis):
    def register_script(self, script: Any) -> AsyncScript:  # type: ignore[override] # noqa: ANN401 - as in redis-py
        return _with_the_clock(script, AsyncScript)  # type: ignore[no-any-return]


class Memory:
    """What producers in memory share: the store, its clock, and what the test said of jobs to come."""

    def __init__(self, namespace: str = NAMESPACE) -> None:
        self._keys = {region: Keys(region, namespace) for region in Region}
        self._server = fakeredis.FakeServer()
        self._ahead = 0
        self.client: redis.Redis = _Client(server=self._server, retry=Retry(NoBackoff(), 0))
        self.client.set_response_callback("TIME", self._later)
        self.lock = threading.RLock()
        self.endings: dict[type[JobBase], Ending] = {}
        self.full = False
        """Whether every region's backlog is as long as it may be."""

    def async_client(self) -> redis.asyncio.Redis:
        """Return an asyncio client of the store."""
        made = _AsyncClient(server=self._server, retry=AsyncRetry(NoBackoff(), 0))
        made.set_response_callback("TIME", self._later)
        return made

    def _later(self, response: Any, **_: Any) -> Any:  # noqa: ANN401 - as redis-py has it
        return int(response[0]) + self._ahead, int(response[1])

    def now(self) -> float:
        """Return the store's time, Unix seconds."""
        return time.time() + self._ahead

    def advance(self, seconds: int) -> None:
        """Let time pass, for the scripts and for keys that live for a while."""
        self._ahead += seconds
        for key in list(self.client.scan_iter()):
            left: int = self.client.pttl(key)
            if left > seconds * 1000:
                self.client.pexpire(key, left - seconds * 1000)
            elif left > 0:
                self.client.delete(key)
        self.client.set(_AHEAD, self._ahead)

    def ids(self) -> dict[Region, list[str]]:
        """Return the ids of all jobs, by region."""
        found: dict[Region, list[str]] = {}
        names = {region: keys.of("job:", "") for region, keys in self._keys.items()}
        for key in map(bytes.decode, self.client.scan_iter(match="*:job:*", count=1000)):
            region = next(region for region, prefix in names.items() if key.startswith(prefix))
            found.setdefault(region, []).append(key.removeprefix(names[region]))
        return found

    def show_workers(self) -> None:
        """Let each region have a worker for ever: the test does its work, so no job may say that it waits for one."""
        for keys in self._keys.values():
            self.client.hset(keys["workers"], "gaugepost.testing", "0:99999999999999")

    def has_work(self, region: Region) -> bool:
        """Tell whether a job of this region is queued or waits, and can be seen to."""
        if not self._server.connected:
            return False
        found: list[bytes | None] = self.client.hmget(self._keys[region]["counts"], "queued", "waiting")  # type: ignore[assignment]
        return any(map(int, filter(None, found)))

    def reachable(self, *, yes: bool) -> None:
        """Let the store be there, or not."""
        self._server.connected = yes
