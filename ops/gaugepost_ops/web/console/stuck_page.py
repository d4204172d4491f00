"""`/stuck`: why jobs are stuck, the cause of the most jobs first, each with an example and the action that helps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from gaugepost.ledger.explanations import action
from gaugepost.ledger.operations import STATES, Action
from gaugepost.ledger.users import Role
from gaugepost.states import JobState
from gaugepost_ops.cli.jobs.groups import PROCESSING
from gaugepost_ops.web.console.bulk_actions import WORDS
from gaugepost_ops.web.console.causes import Causes
from gaugepost_ops.web.console.people import region_in
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, Nav, console_of
from gaugepost_ops.web.console.words import in_words, what_is_held, why_held
from gaugepost_tasks.policy import LINK_LOST

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost.client import Producer
    from gaugepost.regions import Region
    from gaugepost_ops.cli.jobs.groups import Fault, Group
    from gaugepost_ops.web.console.causes import HeldCause, RegionCauses

SHOWN = 40
_HOLDS_SHOWN = 10


class Cause(NamedTuple):
    """One cause as the page shows it. `jobs`: the list of its jobs; `acts`: title and page of what helps."""

    region: Region
    state: str
    number: int
    title: str
    details: str
    to_do: str
    newest: int
    example: str
    jobs: str
    acts: tuple[tuple[str, str], ...]


def add_routes(console: Console) -> None:
    """Add the route of this module."""
    causes = Causes(console.gateway)
    console.get("/stuck", partial(show, causes), role=Role.VIEWER, nav=Nav("Stuck", "s"))


async def show(causes: Causes, request: Request) -> Response:
    """Show the causes of all regions, or of one."""
    only = region_in(request)
    found = await causes.read(only)
    version = repr([one.version for one in found])
    return page(
        request,
        "stuck.html",
        live=True,
        etag=version,
        regions=found,
        read_at=min((one.at for one in found if _was_read(one)), default=None),
        is_whole=all(map(_was_read, found)),
        shown=partial(_shown, console_of(request).gateway.store.blocking, found),
        only=only,
    )


def _was_read(one: RegionCauses) -> bool:
    """Return whether a region was read to its end: not one that is away."""
    return one.is_whole and one.causes is not None


class Shown(NamedTuple):
    """What the page shows. `more`, `more_held`: how many further causes and holds there are."""

    causes: list[Cause]
    more: int
    held: list[Cause]
    more_held: int


def _shown(producer: Producer, found: list[RegionCauses]) -> Shown:
    """Return the causes and the holds with the most jobs; first those that need a person, and holds of a region."""
    pairs = [pair for of in found for pair in of.causes or ()]
    held = [(of.region, one) for of in found for one in of.holds]
    pairs.sort(key=lambda pair: (_ends_by_itself(pair[0]), -pair[1].count, -pair[1].newest))
    held.sort(key=lambda pair: (pair[1].hold.scope != "", -pair[1].count))
    return Shown(
        [_cause(*pair) for pair in pairs[:SHOWN]],
        len(pairs) - SHOWN,
        [_hold(producer, *pair) for pair in held[:_HOLDS_SHOWN]],
        len(held) - _HOLDS_SHOWN,
    )


def _ends_by_itself(fault: Fault) -> bool:
    return fault.state is JobState.PARKED and bool(fault.to_do)


def _cause(fault: Fault, group: Group) -> Cause:
    why = in_words(fault.reason or fault.verdict or "no verdict")
    conditions = {
        "state": str(fault.state),
        "region": str(fault.region),
        "kind": fault.kind,
        "verdict": fault.verdict or "",
        "configuration": fault.configuration or "",
    }
    pairs = [*((name, value) for name, value in conditions.items() if value), *(("field", one) for one in fault.fields)]
    acts = [
        (f"{_words(one, fault)} …", "/jobs/bulk?" + urlencode([*pairs, ("action", str(one))]))
        for one in (Action.REPLAY, Action.SETTLE)
        if fault.state in STATES[one]
    ]
    return Cause(
        region=fault.region,
        state=str(fault.state),
        number=group.count,
        title=f"{why} ({fault.meaning})" if fault.meaning else why,
        details=_details(fault),
        to_do=_to_do(fault),
        newest=group.newest,
        example=group.example,
        jobs="/jobs?" + urlencode(pairs),
        acts=tuple(acts),
    )


def _words(action: Action, fault: Fault) -> str:
    if action is not Action.REPLAY or fault.state is not JobState.PARKED:
        return WORDS[action]
    return "Look now" if fault.reason == PROCESSING else "Send now"


def _to_do(fault: Fault) -> str:
    if fault.state is JobState.UNKNOWN and fault.reason == LINK_LOST:
        return "CustomerGauge has the records, and no call returns their links again. Settle the jobs as delivered."
    return fault.to_do.partition(" The command ")[0] or _HELP.get(fault.state, "")


def _details(fault: Fault) -> str:
    configuration = f"configuration {fault.configuration}" if fault.configuration else ""
    fields = f"fields {', '.join(fault.fields)}" if fault.fields else ""
    return ", ".join(filter(None, (fault.kind, configuration, fields)))


_HELP = {
    JobState.DEAD: "Look at the example, correct the cause, then send the jobs again.",
    JobState.UNKNOWN: "Check at CustomerGauge whether the jobs arrived. Then settle them.",
}


def _hold(producer: Producer, region: Region, one: HeldCause) -> Cause:
    hold = one.hold
    what = what_is_held(producer, hold, region) or "the whole region"
    to_do = action(hold, region) or f"Opened by {hold.by}. Lift it when its reason is over."
    title = f"{what} is held: {why_held(hold)}"
    return Cause(region, "held", one.count, title, "", to_do, hold.since, "", _kept_by(region, one), ())


def _kept_by(region: Region, one: HeldCause) -> str:
    """Return the list of the jobs that a hold keeps: that of a region keeps queued and waiting ones, too."""
    sort, _, name = one.hold.scope.partition(":")
    narrows = {sort: name} if sort in {"batch", "configuration"} else {}
    state = {"state": str(JobState.PARKED)} if sort else {}
    return "/jobs?" + urlencode({**state, "region": region, **narrows}) if one.count else ""
