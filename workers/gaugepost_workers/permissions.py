"""Looks at a part's start whether Redis' ACL permits its user what the part needs."""

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
    """Raise NotPermitted if the user in the regions' Redis lacks what a part needs.

    A worker that may claim jobs and not settle them would send each job again and again, so all is looked at before the
    part begins. A Redis that is away is not waited for.
    """
    for region in regions:
        try:
            with closing(connect_briefly(settings, region)) as client:
                require(client, Keys(region, settings.namespace), part)
        except NotPermitted:
            raise
        except StoreError as error:
            log.warning("rights in Redis not looked at", region=str(region), error=str(error))
