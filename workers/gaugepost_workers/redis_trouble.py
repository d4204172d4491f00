"""Asks whether Redis is away, for liveness probes: a restart of the worker would not bring Redis back."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from gaugepost.connection import connect_briefly
from gaugepost.errors import StoreError
from gaugepost.keys import Keys
from gaugepost.ledger.scripts import our_errors

if TYPE_CHECKING:
    from gaugepost.regions import Region
    from gaugepost.settings import Settings


def redis_trouble(settings: Settings, of: Region | None) -> str | None:
    """Return why no Redis takes writes, or None if one does. It tries a write that changes nothing.

    `of`: the region whose Redis to ask; None asks all.
    """
    regions = (of,) if of else settings.regions if _has_one_each(settings) else settings.regions[:1]
    troubles: list[str] = []
    for one in regions:
        try:
            with closing(connect_briefly(settings, one)) as client, our_errors():
                client.zrem(Keys(one, settings.namespace)["leases"], "")
        except StoreError as error:
            troubles.append(str(error))
    return "; ".join(dict.fromkeys(troubles)) if len(troubles) == len(regions) else None


def _has_one_each(settings: Settings) -> bool:
    return settings.redis_url is not None and "{region}" in settings.redis_url.get_secret_value()
