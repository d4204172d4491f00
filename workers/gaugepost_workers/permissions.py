"""Checks, when a process starts, that its Redis user has the rights that it needs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import structlog

from gaugepost.connection import connect_briefly
from gaugepost.errors import NotPermitted, StoreError
from gaugepost.keys import Keys
from gaugepost.ledger.permissions import require

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gaugepost.ledger.rights import Part
    from gaugepost.regions import Region
    from gaugepost.settings import Settings

log = structlog.get_logger("gaugepost.permissions")


def require_rights(settings: Settings, part: Part, regions: Iterable[Region]) -> None:
    """Raise NotPermitted if the Redis user of a region lacks a right that this part needs.

    A worker that may claim jobs but not settle them would send each job again and again. So the process checks all
    rights before it starts. It does not wait for a Redis that is away.
    """
    for region in regions:
        try:
            with closing(connect_briefly(settings, region)) as client:
                require(client, Keys(region, settings.namespace), part)
        except NotPermitted:
            raise
        except StoreError as error:
            log.warning("rights in Redis not checked", region=str(region), error=str(error))
