"""`Search`: one call of `find` over all regions, whose jobs it merges, newest first."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

from gaugepost.errors import InvalidQuery, StoreUnreachable
from gaugepost.ledger.finding import Found
from gaugepost.ledger.reference_query import Place, Query
from gaugepost.lookup import Lookup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from gaugepost.ledger import JobView
    from gaugepost.regions import Region
    from gaugepost.settings import Settings


class By(TypedDict, total=False):
    """What `find` accepts besides a value of any sort."""

    id: str
    key: str
    email: str
    phone: str
    case: str
    number: str
    batch: str
    file: str
    label: str
    since: datetime
    until: datetime


class Search(Lookup):
    """A query, the regions to ask, and what they answered."""

    def __init__(
        self, settings: Settings, value: str | None, by: Mapping[str, Any], region: Region | None, limit: int
    ) -> None:
        """Check the query. Raises InvalidQuery if it is empty or malformed."""
        super().__init__("job", settings, region)
        if limit < 1:
            raise InvalidQuery("limit: expected at least 1")
        unknown = set(by) - By.__annotations__.keys()
        if unknown:
            raise InvalidQuery(f"{min(unknown)}: not known: expected one of {', '.join(By.__annotations__)}")
        self.query = Query.of(value, by, _seconds("since", by), _seconds("until", by))
        self._limit = limit
        self._answers: list[Found] = []

    @contextmanager
    def asking(self, region: Region) -> Iterator[None]:
        """Note that a region cannot be reached; see `Lookup.failed`."""
        try:
            yield
        except StoreUnreachable as error:
            self.failed(region, error)

    def add(self, answer: Found) -> None:
        """Add what one region found."""
        self._answers.append(answer)

    def found(self) -> Found:
        """Return the newest jobs of all regions. Raises StoreUnreachable if no region could be asked."""
        if not self._answers:
            raise self.not_found()
        cut = max((Place.parse(one.next) for one in self._answers if one.next), key=_order, default=None)
        rows = sorted((view for answer in self._answers for view in answer), key=lambda view: _order(place_of(view)))
        return self._page([view for view in rows[::-1] if cut is None or _order(place_of(view)) >= _order(cut)], cut)

    def _page(self, rows: list[JobView], cut: Place | None) -> Found:
        page = Found(rows[: self._limit])
        if len(rows) > self._limit:
            cut = place_of(page[-1])
        page.next = cut and cut.cursor
        page.unindexed = sum(one.unindexed for one in self._answers)
        page.looked_at = sum(one.looked_at for one in self._answers)
        page.not_asked = tuple(self.failures)
        return page


def _order(place: Place) -> tuple[int, str]:
    """Return the key by which a later place is greater: newer, or the earlier id of one time."""
    return place.at, "".join(chr(ord("g") - int(digit, 16)) for digit in place.id)


def place_of(view: JobView) -> Place:
    """Return the place of a job in a list by enqueue."""
    return Place(view.stamp, view.id)


def to_ms(moment: datetime | None, name: str = "since, until") -> int | None:
    """Return Unix ms. Raises InvalidQuery for a time without its time zone."""
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidQuery(f"{name}: expected a datetime with its time zone")
    return int(moment.timestamp() * 1000)


def _seconds(name: str, by: Mapping[str, Any]) -> float | None:
    found = to_ms(by.get(name), name)
    return None if found is None else found / 1000
