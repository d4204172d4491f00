"""`GET /v1/jobs`: list jobs by their references, or by state, a page at a time. It shows no personal data."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.durations import moment
from gaugepost.errors import InvalidQuery, StoreUnreachable
from gaugepost.ledger.api_keys import Scope
from gaugepost.ledger.finding import LOOKED_AT, Found
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.pages import PageQuery
from gaugepost.regions import Region
from gaugepost.search import Search, to_ms
from gaugepost.states import JobState
from gaugepost.verdict import Verdict
from gaugepost_ops.cli.aliases import aliased, of_configuration
from gaugepost_ops.cli.common import Kind
from gaugepost_ops.cli.jobs.jobs import OPEN_FIRST
from gaugepost_ops.cli.uploads.lanes import DueTimes, job_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.client import Producer
    from gaugepost.ledger import JobView
    from gaugepost_ops.web.gateway import Gateway

MOST_LISTED = 200
_CURSOR = re.compile(r"(\d{1,2})~(.*)")

Text = Annotated[str | None, Query(min_length=1, max_length=300)]


def add_routes(api: FastAPI) -> None:
    """Add the route of this module."""
    api.add_api_route("/v1/jobs", list_jobs, methods=["GET"])


async def list_jobs(  # noqa: PLR0913, PLR0917 - a parameter each
    request: Request,
    state: JobState | None = None,
    region: Region | None = None,
    kind: Kind | None = None,
    verdict: Verdict | None = None,
    configuration: Text = None,
    source: Text = None,
    label: Text = None,
    batch: Text = None,
    key: Text = None,
    case: Text = None,
    email: Text = None,
    phone: Text = None,
    since: Text = None,
    until: Text = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50,
    cursor: Text = None,
) -> Response:
    """List jobs: with a reference newest first; else by state, open ones first."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.READ)
    regions = caller.regions_of(region)
    references = {"label": label, "batch": batch, "key": key, "case": case, "email": email, "phone": phone}
    wanted = Wanted(
        regions=regions,
        away=caller.unasked_of(region),
        states=OPEN_FIRST if state is None else (state,),
        references={name: value for name, value in references.items() if value is not None},
        since=given_moment("since", since),
        until=given_moment("until", until),
        conditions=JobFilter(kind=kind, verdict=verdict, source=source),
        configuration=configuration,
    )
    found = await asyncio.to_thread(wanted.rows, gateway.store.blocking, limit, cursor)
    return Response(to_json(found), media_type="application/json")


def given_moment(name: str, text: str | None) -> datetime | None:
    """Parse a time with its offset, or a duration ago. Raises InvalidQuery."""
    if text is None:
        return None
    try:
        found = moment(text)
        return datetime.now(UTC) - found if isinstance(found, timedelta) else found
    except (ValueError, OverflowError) as error:
        raise InvalidQuery(f"{name}: {error}") from None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs to list."""

    regions: tuple[Region, ...]
    away: tuple[Region, ...]
    """Further regions, which cannot be asked."""
    states: tuple[JobState, ...]
    references: dict[str, str]
    since: datetime | None
    until: datetime | None
    conditions: JobFilter
    configuration: str | None
    value: str | None = None
    """A reference of any sort."""
    most: int = LOOKED_AT
    """How many jobs are compared with the conditions, at most."""
    skips: bool = False
    """Whether a list by state leaves out the regions that are away: then `away` are some of `regions`."""

    def page(self, producer: Producer, limit: int, cursor: str | None) -> Found:
        """Return a page of jobs: with a reference newest first; else by state. Raises InvalidQuery."""
        return (self._found if self.references or self.value else self._listed)(producer, limit, cursor)

    def rows(self, producer: Producer, limit: int, cursor: str | None) -> dict[str, Any]:
        """Return a page: rows of `gaugepost jobs --json`, and the cursor of the next page. Raises InvalidQuery."""
        found = self.page(producer, limit, cursor)
        dues = DueTimes(producer)
        rows = [aliased(job_row(view, dues), producer) for view in found]
        more = {"unindexed": found.unindexed} if found.unindexed else {}
        away = [str(region) for region in (*self.away, *found.not_asked)]
        return {"jobs": rows, "next": found.next} | more | ({"not_asked": away} if away else {})

    def _keep(self, producer: Producer) -> Callable[[JobView], bool]:
        only = self.regions[0] if len(self.regions) == 1 else None
        has_configuration = of_configuration(producer, self.configuration, only)
        return lambda view: view.state in self.states and self.conditions.matches(view) and has_configuration(view)

    def _found(self, producer: Producer, limit: int, cursor: str | None) -> Found:
        times = {name: at for name, at in (("since", self.since), ("until", self.until)) if at is not None}
        regions = tuple(region for region in self.regions if region not in self.away)
        settings = producer.settings.model_copy(update={"regions": regions or self.regions})
        search, keep = Search(settings, self.value, self.references | times, None, limit), self._keep(producer)
        for region in search.regions:
            with search.asking(region):
                search.add(producer.ledger(region).find(search.query, limit, cursor, keep=keep, most=self.most))
        return search.found()

    def _listed(self, producer: Producer, limit: int, cursor: str | None) -> Found:
        """Return a page of the lists of all wanted states and regions, one list after another.

        Raises StoreUnreachable if all regions are away, and without `skips` if one is. A cursor counts the lists of
        all regions.
        """
        if self.away and not self.skips:
            named = ", ".join(self.away)
            raise StoreUnreachable(f"{named} could not be asked: Redis cannot be reached; name another region")
        lists = [(state, region) for state in self.states for region in self.regions]
        number, inner = _parsed(cursor, len(lists))
        keep, page, away = self._keep(producer), Found(), set(self.away)
        times = to_ms(self.since, "since"), to_ms(self.until, "until")
        while number < len(lists):
            state, region = lists[number]
            query, most = PageQuery(state, *times, keep), self.most - page.looked_at
            some = Found()
            try:
                if region not in away:
                    some = producer.ledger(region).page(query, limit - len(page), inner, most=most)
            except StoreUnreachable:
                if not self.skips:
                    raise
                away.add(region)
            page += some
            page.looked_at += some.looked_at
            number, inner = (number + 1, None) if some.next is None else (number, some.next)
            if len(page) == limit or page.looked_at >= self.most:
                page.next = f"{number}~{inner or ''}" if number < len(lists) else None
                break
        page.not_asked = tuple(region for region in self.regions if region in away)
        if not page and len(page.not_asked) == len(self.regions):
            raise StoreUnreachable(f"{', '.join(self.regions)} could not be asked: Redis cannot be reached")
        return page


def _parsed(cursor: str | None, lists: int) -> tuple[int, str | None]:
    """Return the number of the list and the place in it. Raises InvalidQuery."""
    if cursor is None:
        return 0, None
    match = _CURSOR.fullmatch(cursor)
    if match is None or int(match[1]) >= lists:
        raise InvalidQuery("cursor: expected the `next` of an earlier page")
    return int(match[1]), match[2] or None
