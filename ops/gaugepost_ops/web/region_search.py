"""Find what an id names: a job, a file or an operation, in one of the regions of a key."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from gaugepost.errors import StoreUnreachable
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gaugepost.regions import Region
    from gaugepost_ops.web.actors import Actor

T = TypeVar("T")


async def find_in_regions(
    caller: Actor, read: Callable[[Region], Awaitable[T | None]], absent: str, *, is_id: bool
) -> T:
    """Return what `read` finds in the first region of a key that has it. `is_id`: whether a region needs to be asked.

    Raises Refused (404) with the text `absent`; StoreUnreachable if a region that may have it is away.
    """
    away = [*caller.away] if is_id else []
    for region in caller.regions if is_id else ():
        try:
            found = await read(region)
        except StoreUnreachable:
            away.append(region)
        else:
            if found is not None:
                return found
    if away:
        raise StoreUnreachable(f"{', '.join(away)} could not be asked: Redis cannot be reached")
    raise Refused(HTTPStatus.NOT_FOUND, absent)
