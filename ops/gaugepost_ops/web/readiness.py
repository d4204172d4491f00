"""Whether Redis accepts writes, for `/readyz`. It is tried at most once a second, however often a probe asks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from gaugepost.errors import GaugepostError
from gaugepost_ops.web.problems import why

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.regions import Region
    from gaugepost_ops.web.store import Store

_KEEP_S = 1.0


class Readiness:
    """The last answer of each region's Redis."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: Mapping[str, str] = {}
        self._at = float("-inf")
        self._lock = asyncio.Lock()

    async def regions(self) -> Mapping[str, str]:
        """Return for each region `ready`, or why its Redis accepts no writes."""
        async with self._lock:
            if time.monotonic() - self._at > _KEEP_S:
                regions = self._store.settings.regions
                answers = await asyncio.gather(*map(self._try, regions))
                self._found = {str(region): answer for region, answer in zip(regions, answers, strict=True)}
                self._at = time.monotonic()
            return self._found

    async def _try(self, region: Region) -> str:
        try:
            await self._store.run(region, self._store.api_keys[region].ready())
        except GaugepostError as error:
            return why(error)
        return READY


READY = "ready"
