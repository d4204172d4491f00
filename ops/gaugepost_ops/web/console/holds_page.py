"""`/holds`: what is held, why, by whom and until when; operators open and lift holds."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from pydantic import ValidationError

from gaugepost.durations import moment
from gaugepost.errors import InvalidJob
from gaugepost.ledger.explanations import action, failed_probes, meaning, opened_by
from gaugepost.ledger.users import Role
from gaugepost.regions import Region
from gaugepost_ops.cli.output.formatting import clock
from gaugepost_ops.web.console.inputs import field, form_of, see_other
from gaugepost_ops.web.console.people import person_of, region_in, version_of
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, Nav, console_of
from gaugepost_ops.web.console.words import what_is_held
from gaugepost_ops.web.holds import NewHold, lift, open_new
from gaugepost_ops.web.overview import of_regions
from gaugepost_ops.web.problems import Refused, wrong_fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost.client import Producer
    from gaugepost.ledger import Hold

SHOWN = 25
"""A hold takes more bytes than a row of other lists: a page has at most 60 kB."""
_CHOICES = {
    "": "the whole region",
    "configuration:": "one configuration",
    "credentials:oauth": "kinds that need OAuth",
    "credentials:api_key": "kinds that need the API key",
    "endpoints:imports": "imports",
    "endpoints:close_loop": "close loop",
    "endpoints:responses": "responses",
    "endpoints:uploads": "uploads",
}
_EMPTY = {"region": "", "what": "", "configuration": "", "reason": "", "until": ""}


class ShownHold(NamedTuple):
    """A hold with its explanation. `waiting`: how many jobs it keeps. `key`: its id as a name in the page.

    `jobs`: the page that lists its jobs, if there is one. `job`: the job of the one failed request that opened it.
    """

    id: str
    key: str
    region: str
    name: str
    hold: Hold
    waiting: int
    why: tuple[str, ...]
    to_do: str
    jobs: str
    job: str


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    console.get("/holds", show, role=Role.VIEWER, nav=Nav("Holds", "h"))
    console.post("/holds", open_hold, role=Role.OPERATOR, action="hold")
    console.post("/holds/lift", lift_hold, role=Role.OPERATOR, action="resume")


async def show(request: Request) -> Response:
    """List the holds, the region's own first."""
    return await _page(request, _EMPTY | {"region": request.query_params.get("region", "")})


async def _page(request: Request, form: Mapping[str, str], error: str = "") -> Response:
    region, person = region_in(request), person_of(request)
    after = request.query_params.get("after", "")
    producer = console_of(request).gateway.store.blocking
    found = await asyncio.to_thread(of_regions, producer, person, region, "holds", _listed)
    every = sorted(found["holds"], key=lambda one: one[0])
    later = [one for one in every if one[0] > after]
    holds = await asyncio.to_thread(_explained, producer, later[:SHOWN])
    return page(
        request,
        "holds.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
        live=not error,
        etag=None if error else version_of(holds, len(every), found.get("not_asked")),
        holds=holds,
        total=len(every),
        after=after,
        next=later[SHOWN - 1][0] if len(later) > SHOWN else "",
        away=found.get("not_asked", []),
        region=region,
        regions=person.all_regions,
        choices=_CHOICES,
        form=form,
        error=error,
    )


def _listed(producer: Producer, region: Region) -> list[Any]:
    """Return the holds of a region with their ids."""
    return [(_id(region, scope), region, hold) for scope, hold in producer.ledger(region).holds().items()]


def _id(region: str, scope: str) -> str:
    return f"{region}:{scope}".rstrip(":")


def _explained(producer: Producer, found: list[tuple[str, Region, Hold]]) -> list[ShownHold]:
    """Return holds with the number of jobs that they keep."""
    kept: dict[str, int] = {}
    for region in dict.fromkeys(one for _, one, _ in found):
        scopes = [hold.scope for _, of, hold in found if of is region]
        numbers = producer.ledger(region).kept_by(scopes)
        kept |= {_id(region, scope): number for scope, number in zip(scopes, numbers, strict=True)}
    return [_shown(producer, hold_id, region, hold, kept[hold_id]) for hold_id, region, hold in found]


def _shown(producer: Producer, hold_id: str, region: Region, hold: Hold, waiting: int) -> ShownHold:
    opened = opened_by(hold, clock)
    texts = (meaning(hold), f"cause: {opened}" if opened else "", failed_probes(hold, clock))
    why = tuple(f"{text[0].upper()}{text[1:]}." for text in texts if text)
    name = what_is_held(producer, hold, region) or "the whole region"
    jobs, job = _jobs(hold, region), _job(hold)
    key = version_of(hold_id)[:12]
    return ShownHold(hold_id, key, str(region), name, hold, waiting, why, action(hold, region), jobs, job)


def _jobs(hold: Hold, region: Region) -> str:
    """Return the page of the jobs that a hold keeps; "" if no filter selects them."""
    sort, _, name = hold.scope.partition(":")
    return f"/jobs?{urlencode({sort: name, 'region': region})}" if sort in {"batch", "configuration"} else ""


def _job(hold: Hold) -> str:
    """Return the id of the job whose request opened a hold; "" if several did."""
    found = [one.job for one in hold.cause.requests if one.job] if hold.cause and hold.cause.failures == 1 else []
    return found[0] if found else ""


async def open_hold(request: Request) -> Response:
    """Open a hold; a wrong field shows the form again, with what was typed."""
    given = await form_of(request)
    form = {name: field(given, name).strip() for name in _EMPTY}
    producer = console_of(request).gateway.store.blocking
    try:
        wanted = _wanted(form)
        region_in(request, wanted.region)
        await asyncio.to_thread(open_new, producer, person_of(request), wanted)
    except Refused as error:
        return await _page(request, form, error.detail)
    except InvalidJob as error:
        return await _page(request, form, str(error))
    return see_other("/holds")


def _wanted(form: Mapping[str, str]) -> NewHold:
    """Return the hold of a form. Raises Refused (422)."""
    sort, _, name = form["what"].partition(":")
    if form["what"] not in _CHOICES:
        raise _wrong("what: choose what to hold")
    if not form["reason"]:
        raise _wrong("reason: tell others why the jobs wait")
    if sort == "configuration" and not form["configuration"]:
        raise _wrong("configuration: give its reference, or its alias")
    if sort != "configuration" and form["configuration"]:
        raise _wrong("configuration: choose “one configuration”, or leave this empty")
    scope = {sort: name or form["configuration"]} if sort else {}
    try:
        moment(form["until"] or "1h")
        return NewHold.model_validate(
            {"region": form["region"], "reason": form["reason"], "until": form["until"] or None, **scope}
        )
    except ValidationError as error:
        raise wrong_fields(error) from None
    except ValueError as error:
        raise _wrong(f"until: {error}") from None


def _wrong(text: str) -> Refused:
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, text)


async def lift_hold(request: Request) -> Response:
    """Lift a hold, of a person or of gaugepost itself."""
    form = await form_of(request)
    (name, _, scope), reason = field(form, "id").partition(":"), field(form, "reason").strip()
    region = region_in(request, name)
    producer = console_of(request).gateway.store.blocking
    if region is None or not await asyncio.to_thread(lift, producer, person_of(request), region, scope, reason):
        raise Refused(HTTPStatus.NOT_FOUND, "there is no such hold any more: nothing was changed")
    return see_other("/holds")
