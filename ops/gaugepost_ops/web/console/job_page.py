"""`/jobs/{id}`: one job: why it is where it is, its way, its attempts, its lane; and what a person may do with it."""

from __future__ import annotations

import asyncio
import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed
from gaugepost.ledger.users import Role
from gaugepost.states import JobState
from gaugepost_ops.cli.jobs.groups import PROCESSING, SCHEDULED
from gaugepost_ops.web.auditing import recorded
from gaugepost_ops.web.console.inputs import field, form_of, see_other
from gaugepost_ops.web.console.job_facts import find_job, masked, read_facts
from gaugepost_ops.web.console.job_story import path_of, sentence, under
from gaugepost_ops.web.console.people import person_of
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, console_of
from gaugepost_ops.web.console.state_diagram import diagram
from gaugepost_ops.web.console.words import what_is_held
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost.client import Producer
    from gaugepost.ledger import JobView, Ledger
    from gaugepost_ops.web.actors import Actor
    from gaugepost_ops.web.console.job_facts import JobFacts
    from gaugepost_ops.web.console.job_story import Sentence

    Change = Callable[[Ledger], list[tuple[JobState | None, bool]]]

_LONGEST_REASON = 500
_BEGINNING = re.compile("[0-9a-f]{8,31}")
_CANCELLABLE = frozenset({JobState.QUEUED, JobState.WAITING, JobState.PARKED})


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    console.get("/jobs/{job_id}", show, role=Role.VIEWER)
    console.post("/jobs/{job_id}/data", show_data, role=Role.OPERATOR, action="job --show-data")
    console.post("/jobs/{job_id}/cancel", cancel, role=Role.OPERATOR, action="cancel")
    console.post("/jobs/{job_id}/replay", replay, role=Role.OPERATOR, action="replay")
    console.post("/jobs/{job_id}/settle", settle, role=Role.OPERATOR, action="settle")


async def show(request: Request) -> Response:
    """Show a job without its data. The first digits of an id, which lists show, lead to a search."""
    if _BEGINNING.fullmatch(job_id := request.path_params["job_id"]):
        return see_other(f"/jobs?q=id:{job_id}")
    return await _page(request, data=None)


async def _page(request: Request, data: dict[str, Any] | None) -> Response:
    producer = console_of(request).gateway.store.blocking
    facts = await asyncio.to_thread(read_facts, producer, person_of(request), request.path_params["job_id"])
    view = facts.view
    states, story = path_of(view), await _story(request, facts)
    return page(
        request,
        "job.html",
        etag=f"{facts.version} {story.text}" if data is None else None,
        facts=facts,
        view=view,
        story=story,
        diagram=diagram(states),
        states=states,
        raw=json.dumps(data or _masked(view), indent=2, ensure_ascii=False, default=str),
        shows_data=data is not None,
        offers={
            "cancel": view.state in _CANCELLABLE,
            "replay": _replay_in_words(view),
            "settle": view.state is JobState.UNKNOWN,
        },
    )


async def _story(request: Request, facts: JobFacts) -> Sentence:
    """Say where a job is and why. One that was parked before its region was held does not name that hold itself."""
    console, view = console_of(request), facts.view
    if view.hold is not None:
        return sentence(view, facts.due, what_is_held(console.gateway.store.blocking, view.hold, view.region))
    story = sentence(view, facts.due)
    if view.state is JobState.PARKED and "" in (await console.snapshots.holds(view.region)).get(view.region, {}):
        return under(story, view.region)
    return story


def _replay_in_words(view: JobView) -> str:
    """Return the title of the button that sends a job now; empty if `replay.lua` would not change the job."""
    if view.state is JobState.DEAD and not view.erased_at:
        return "Send again"
    if view.state is not JobState.PARKED or view.hold is not None or view.reason == SCHEDULED or view.erased_at:
        return ""
    if view.reason == PROCESSING:
        return "Look now"
    return "Send again" if view.history.attempts() else "Send now"


def _masked(view: JobView) -> dict[str, Any]:
    found = view.to_dict()
    left_out = ("attempts", "timeline", "checks", "hold")
    facts = {name: value for name, value in found.items() if name not in left_out and value not in (None, [], {})}
    return facts | {"data": f"encrypted: {view.sealed}" if view.sealed else masked(view.data())}


async def show_data(request: Request) -> Response:
    """Show a job with its data, and record who saw it."""
    person, form = person_of(request), await form_of(request)
    producer = console_of(request).gateway.store.blocking
    data = await asyncio.to_thread(_read_data, producer, person, request.path_params["job_id"], field(form, "reason"))
    return await _page(request, data)


def _read_data(producer: Producer, person: Actor, job_id: str, reason: str) -> dict[str, Any]:
    view = find_job(producer, person, job_id)
    with recorded(producer.ledger(view.region), person, "job --show-data", job_id, reason) as record:
        try:
            data = view.to_dict(show_data=True) | {"data": view.data()}
        except DataSealed as error:
            raise Refused(HTTPStatus.CONFLICT, f"the data is encrypted: {error}") from None
        record.count = 1
    return data


async def cancel(request: Request) -> Response:
    """Cancel a job that no worker has sent."""
    person, reason, job_id, _ = await _asked(request)
    return await _changed(request, "cancel", reason, lambda ledger: ledger.cancel([job_id], person.name, reason))


async def replay(request: Request) -> Response:
    """Queue a dead or parked job again."""
    person, reason, job_id, _ = await _asked(request)
    return await _changed(request, "replay", reason, lambda ledger: ledger.replay([job_id], person.name, reason))


async def settle(request: Request) -> Response:
    """Record what a person found out about a job whose answer was lost."""
    person, reason, job_id, form = await _asked(request)
    found = field(form, "as")
    if found not in {"delivered", "dead"}:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "nothing was changed: say whether it was delivered or is dead")
    to = JobState(found)
    return await _changed(request, "settle", reason, lambda ledger: ledger.resolve([job_id], to, person.name, reason))


async def _asked(request: Request) -> tuple[Actor, str, str, FormData]:
    """Return the person, the reason, the id of the job, and the form. Raises Refused (422) without a reason."""
    form = await form_of(request)
    return person_of(request), reason_in(form), request.path_params["job_id"], form


def reason_in(form: FormData) -> str:
    """Return the reason of a form. Raises Refused (422) without one."""
    reason = field(form, "reason").strip()[:_LONGEST_REASON]
    if not reason:
        text = "nothing was changed: give a reason; the job's history and the audit trail keep it"
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, text)
    return reason


async def _changed(request: Request, action: str, reason: str, change: Change) -> Response:
    """Change a job, and go back to its page. Raises Refused (409) if nothing was changed."""
    job_id, person = request.path_params["job_id"], person_of(request)
    producer = console_of(request).gateway.store.blocking

    def carry_out() -> None:
        ledger = producer.ledger(find_job(producer, person, job_id).region)
        with recorded(ledger, person, action, job_id, reason) as record:
            [(state, done)] = change(ledger)
            record.count = int(done)
        if not done:
            raise Refused(HTTPStatus.CONFLICT, f"nothing was changed: the job is {state} now")

    await asyncio.to_thread(carry_out)
    return see_other(f"/jobs/{job_id}")
