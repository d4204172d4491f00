"""Endpoints of webhooks in all their regions: make one, find one, and show each as one row."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gaugepost.errors import InvalidJob, StoreError
from gaugepost.jobs import FileDelete
from gaugepost.ledger.webhook_records import EVENTS, MOST_ENDPOINTS, SOURCE_EVENTS, Endpoint, new_endpoint_id
from gaugepost.regions import Region
from gaugepost.webhook_urls import check_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gaugepost.client import Producer
    from gaugepost.ledger import Ledger
    from gaugepost.settings import Settings

_SUMS = ("waiting", "given_up", "sent", "dropped")
_STATES = ("active", "failing", "disabled")


def new_endpoint(
    settings: Settings,
    url: str,
    *,
    events: Sequence[str] = (),
    regions: Sequence[str] = (),
    source: str | None = None,
    with_result: bool = False,
    by: str = "",
) -> Endpoint:
    """Return a checked endpoint. Raises ValueError: the field, a colon, and what is expected."""
    try:
        check_url(url, settings.webhook_networks)
    except ValueError as error:
        raise ValueError(f"url: {error}") from None
    if unknown := [event for event in events if event not in EVENTS]:
        raise ValueError(f"event: {unknown[0]}: expected one of {', '.join(EVENTS)}")
    if source is not None:
        _check_source(source)
        if others := [event for event in events if event not in SOURCE_EVENTS]:
            raise ValueError(f"event: {others[0]} belongs to no source: leave out the source, or this event")
    return Endpoint(
        id=new_endpoint_id(),
        url=url,
        events=tuple(dict.fromkeys(events)),
        regions=tuple(dict.fromkeys(map(str, regions or settings.regions))),
        source=source,
        with_result=with_result,
        created=int(time.time() * 1000),
        by=by,
    )


def _check_source(source: str) -> None:
    try:
        FileDelete(region=Region.EU, upload_id=1, source=source)
    except InvalidJob as refused:
        raise ValueError(f"source: {refused.problems[0].expected}") from None


class TooManyEndpoints(Exception):  # noqa: N818 - a refusal, not an error
    """A region has as many endpoints as it may have."""

    def __init__(self, region: str) -> None:
        super().__init__(f"{region} has {MOST_ENDPOINTS} endpoints already: remove one first")


def store(producer: Producer, endpoint: Endpoint, secret: str, began: Callable[[Region], object]) -> None:
    """Store an endpoint in all its regions, or in none. `began`: called before each region.

    Raises TooManyEndpoints, StoreError.
    """
    stored: list[Region] = []
    try:
        for region in map(Region, endpoint.regions):
            began(region)
            _put(producer.ledger(region), endpoint, secret)
            stored.append(region)
    except (TooManyEndpoints, StoreError):
        for region in stored:
            producer.ledger(region).webhooks.drop(endpoint.id)
        raise


def _put(ledger: Ledger, endpoint: Endpoint, secret: str) -> None:
    if not ledger.webhooks.put(endpoint, secret):
        raise TooManyEndpoints(ledger.region)


def new_row(endpoint: Endpoint, secret: str) -> dict[str, Any]:
    """Return the row of a new endpoint. Only this one has the secret."""
    row = endpoint.to_dict()
    first = {"id": endpoint.id, "url": endpoint.url, "secret": secret, "events": row["events"]}
    return first | {name: row[name] for name in ("regions", "source", "with_result")}


def merged(found: Iterable[tuple[Ledger, Endpoint]]) -> list[dict[str, Any]]:
    """Return one row for each endpoint, with the numbers of all its regions, in the order of creation."""
    by_id: dict[str, dict[Region, Endpoint]] = {}
    for ledger, endpoint in found:
        by_id.setdefault(endpoint.id, {})[ledger.region] = endpoint
    rows = [_row(copies) for copies in by_id.values()]
    return sorted(rows, key=lambda row: (row["created_at"], row["id"]))


def _row(copies: Mapping[Region, Endpoint]) -> dict[str, Any]:
    worst = max(copies.values(), key=lambda one: _STATES.index(one.state))
    row = worst.to_dict()
    numbers = [one.numbers for one in copies.values()]
    row |= {name: sum(getattr(one, name) for one in numbers) for name in _SUMS}
    last = max((one.last_sent or 0 for one in numbers), default=0)
    row["last_sent_at"] = replace(worst, numbers=replace(worst.numbers, last_sent=last or None)).to_dict()[
        "last_sent_at"
    ]
    names = ("state", *_SUMS, "limit", "last_error")
    row["by_region"] = {str(region): {name: one.to_dict()[name] for name in names} for region, one in copies.items()}
    return row
