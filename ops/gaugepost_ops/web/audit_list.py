"""`GET /v1/audit`: who did what, newest first, a page at a time: the rows of `gaugepost audit --json`."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.errors import InvalidQuery, StoreUnreachable
from gaugepost.ledger.api_keys import Scope
from gaugepost.ledger.audit import PAGE
from gaugepost.regions import Region
from gaugepost_ops.cli.operations.audit import AuditFilter
from gaugepost_ops.web.listing import MOST_LISTED, Text, given_moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.client import Producer
    from gaugepost.ledger import Ledger
    from gaugepost.ledger.audit import AuditEntry
    from gaugepost_ops.web.actors import Actor
    from gaugepost_ops.web.gateway import Gateway

LOOKED_AT = 20_000
_CURSOR = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
_MOST = 2**64
"""Both numbers of an id in Redis have 64 bits."""


def add_routes(api: FastAPI) -> None:
    """Add the route of this module."""
    api.add_api_route("/v1/audit", list_audit, methods=["GET"])


async def list_audit(  # noqa: PLR0913, PLR0917 - a parameter each
    request: Request,
    since: Text = None,
    until: Text = None,
    actor: Text = None,
    action: Text = None,
    region: Region | None = None,
    job: Text = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50,
    cursor: Text = None,
) -> Response:
    """List who changed what, or saw personal data, when, why, and how it ended."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    asked = Asked(AuditFilter(actor, action, job), region, since, until, limit, cursor)
    found = await asyncio.to_thread(asked.page, gateway.store.blocking, caller)
    return Response(to_json(found), media_type="application/json")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which entries to list. `since`, `until`: times or durations ago. `cursor`: the `next` of an earlier page."""

    wanted: AuditFilter
    region: Region | None
    since: str | None
    until: str | None
    limit: int
    cursor: str | None
    looked_at: int = LOOKED_AT
    """How many entries are compared with the filter, at most."""

    def page(self, producer: Producer, caller: Actor) -> dict[str, Any]:
        """Return the next entries, the cursor of the next page, and the regions that are away.

        Raises InvalidQuery; StoreUnreachable if no region answers.
        """
        if self.cursor is not None and not _is_cursor(self.cursor):
            raise InvalidQuery("cursor: expected the `next` of an earlier page")
        regions, away = caller.regions_of(self.region), [str(one) for one in caller.unasked_of(self.region)]
        times = given_moment("since", self.since), given_moment("until", self.until)
        first, last = (None if at is None else int(at.timestamp() * 1000) for at in times)
        trail = _Trail(producer, regions, first, last, self.cursor)
        found = trail.page(self.wanted, self.limit, self.looked_at)
        away += trail.away
        if len(trail.away) == len(regions):
            raise StoreUnreachable(f"{', '.join(away)} could not be asked: Redis cannot be reached")
        return found | ({"not_asked": away} if away else {})


def _is_cursor(text: str) -> bool:
    found = _CURSOR.fullmatch(text)
    numbers = [int(number) for number in found.groups()] if found else [0]
    return any(numbers) and all(number < _MOST for number in numbers)  # Redis refuses to look before 0-0


class _Trail:
    """The trails of some regions. An id begins with the time, so the id of an entry is a cursor for all of them."""

    def __init__(
        self, producer: Producer, regions: Sequence[Region], since: int | None, until: int | None, cursor: str | None
    ) -> None:
        self._ledgers = [producer.ledger(region) for region in regions]
        self._since, self._until, self._before = since, until, cursor or ""
        self.away: list[str] = []

    def page(self, wanted: AuditFilter, limit: int, most: int) -> dict[str, Any]:
        """Return the next entries that match, and the cursor of the next page. It looks at `most` entries."""
        rows: list[dict[str, Any]] = []
        looked_at = 0
        while looked_at < most:
            entries = self._next()
            for entry in entries:
                if len(rows) >= limit and entry.id != self._before:  # two regions may have an entry of one id
                    return {"entries": rows, "next": self._before}
                looked_at += 1
                self._before = entry.id
                if wanted.matches(entry):
                    rows.append(entry.to_dict())
            if not entries:
                return {"entries": rows, "next": None}
        return {"entries": rows, "next": self._before}

    def _next(self) -> list[AuditEntry]:
        """Return the next entries of all regions that are complete up to the last of them, newest first."""
        found: list[AuditEntry] = []
        oldest = (0, 0)
        for ledger in [one for one in self._ledgers if str(one.region) not in self.away]:
            some = self._read(ledger)
            found += some
            if len(some) == PAGE:  # this region may have older ones: entries of others before those must wait
                oldest = max(oldest, _place(some[-1]))
        return sorted((entry for entry in found if _place(entry) >= oldest), key=_place, reverse=True)

    def _read(self, ledger: Ledger) -> list[AuditEntry]:
        try:
            return ledger.audit.read(before=self._before, since=self._since, until=self._until)
        except StoreUnreachable:
            self.away.append(str(ledger.region))
            return []


def _place(entry: AuditEntry) -> tuple[int, int]:
    time, _, number = entry.id.partition("-")
    return int(time), int(number or 0)
