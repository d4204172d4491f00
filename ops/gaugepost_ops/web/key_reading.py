"""The keys of one region: read from Redis twice a second, or at once for a key that is not known; their uses noted."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from gaugepost.errors import GaugepostError, StoreFull, StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gaugepost.ledger.api_keys import ApiKey, KeysRead
    from gaugepost.regions import Region
    from gaugepost_ops.web.store import Store

log = structlog.get_logger("gaugepost.gateway")

READ_EVERY_S = 0.4
LOOK_EVERY_S = 0.1
"""A key that is not known is looked up in Redis before it gets 401, so that a new one works at once. All such requests
share ten readings a second, however many keys somebody guesses."""
NOTE_USE_EVERY_S = 60.0


class RegionKeys:
    """The keys of one region, by their hash. `read_at`: when they were read, monotonic seconds.

    It calls `changed` after each reading.
    """

    def __init__(self, store: Store, region: Region, changed: Callable[[], None]) -> None:
        self.keys: Mapping[str, ApiKey] = {}
        self.read_at = float("-inf")
        self.is_away = False
        self.is_unreachable = False
        """Whether it is away because its Redis does not answer."""
        self._store = store
        self._region = region
        self._changed = changed
        self._reading: asyncio.Task[None] | None = None
        self._used: set[str] = set()
        """Names of keys whose use Redis does not know yet."""
        self._noted: dict[str, float] = {}
        """Name of a key → when its use was noted last, monotonic seconds."""

    async def keep_reading(self) -> None:
        """Read the keys again and again, until this task is cancelled."""
        while True:
            await self.read()
            await asyncio.sleep(READ_EVERY_S)

    async def read(self) -> None:
        """Read the keys; if they are being read, wait for that."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_now())
        with suppress(GaugepostError):
            await asyncio.shield(self._reading)

    async def read_after(self, asked_at: float) -> None:
        """Wait until the keys have been read after this time; not if the region is away."""
        while self.read_at < asked_at and not self.is_away:
            pause = self.read_at + LOOK_EVERY_S - time.monotonic()
            if pause > 0:  # and look again then: others may have read meanwhile
                await asyncio.sleep(pause)
            else:
                await self.read()

    def note_use(self, name: str, now: float) -> None:
        """Have the use of a key noted in Redis by the next reading, at most once a minute."""
        if now - self._noted.get(name, float("-inf")) > NOTE_USE_EVERY_S:
            self._noted[name] = now
            self._used.add(name)

    async def _read_now(self) -> None:
        asked_at = time.monotonic()
        try:
            found = await self._found()
        except GaugepostError as error:
            if not self.is_away:
                log.warning("keys not read", region=str(self._region), error=str(error))
            self.is_away, self.is_unreachable = True, isinstance(error, StoreUnreachable)
            return
        except Exception as error:  # noqa: BLE001 - whatever Redis has there, the next turn must come
            if not self.is_away:
                log.error("keys not read", region=str(self._region), error=type(error).__name__)  # noqa: TRY400 - it may quote a key
            self.is_away, self.is_unreachable = True, False
            return
        self.keys = {key.digest: key for key in found.valid()}
        self.read_at, self.is_away, self.is_unreachable = asked_at, False, False
        self._changed()

    async def _found(self) -> KeysRead:
        """Return the keys, and note their uses. While Redis refuses that write, the uses wait: keys need only reads."""
        calls, used = self._store.api_keys[self._region], list(self._used)
        if used:
            with suppress(StoreFull):
                found = await self._store.run(self._region, calls.read(used))
                self._used.difference_update(used)
                return found
        return await self._store.run(self._region, calls.read())
