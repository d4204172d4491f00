"""`/uploads/new`: send a file, see its plan, and confirm it. Until then nothing is stored in Redis."""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gaugepost.errors import BacklogFull, InvalidJob, StoreError
from gaugepost.file_families import FAMILIES
from gaugepost.ledger.users import Role
from gaugepost_ops.web.console.file_plans import FilePlans
from gaugepost_ops.web.console.inputs import form_of, see_other
from gaugepost_ops.web.console.people import person_of
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, console_of
from gaugepost_ops.web.files import queue_file, read_file_form
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_GONE = (
    "this plan is gone: it was confirmed, 15 minutes are over, four newer files took its place, or the gateway has "
    "restarted. If Uploads does not list the file, upload it again"
)


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    plans = FilePlans()
    console.get("/uploads/new", show, role=Role.OPERATOR)
    console.post("/uploads/new", partial(plan, plans), role=Role.OPERATOR, action="upload")
    console.post("/uploads/new/{token}", partial(confirm, plans), role=Role.OPERATOR, action="upload")


async def show(request: Request) -> Response:
    """Show the form."""
    return _form(request)


def _form(request: Request, error: str = "") -> Response:
    regions = person_of(request).all_regions
    status = HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
    return page(request, "upload_new.html", status=status, regions=regions, families=FAMILIES, error=error)


async def plan(plans: FilePlans, request: Request) -> Response:
    """Check a file, split it and forecast its parts; show that, and keep the file until it is confirmed."""
    gateway, person = console_of(request).gateway, person_of(request)
    if gateway.uploads.locked():
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "this gateway takes as many files as it can: try again")
    folder = TemporaryDirectory(prefix="gaugepost-")
    async with gateway.uploads:
        try:
            wanted, path = await read_file_form(request, Path(folder.name), blanks=True)
            person.served(wanted.region)
            dry = wanted.model_copy(update={"dry_run": True})
            found = await asyncio.to_thread(queue_file, gateway.store.blocking, person, dry, path)
        except (Refused, InvalidJob) as error:
            folder.cleanup()
            return _form(request, str(error).removeprefix("nothing was stored: "))
        except BaseException:
            folder.cleanup()
            raise
    token = plans.add(person.name, wanted, path, folder)
    return page(request, "upload_plan.html", plan=found, wanted=wanted, token=token)


async def confirm(plans: FilePlans, request: Request) -> Response:
    """Queue the parts of a file, as its plan says."""
    await form_of(request)
    gateway, person = console_of(request).gateway, person_of(request)
    token = request.path_params["token"]
    kept = plans.take(token, person.name)
    if kept is None:
        raise Refused(HTTPStatus.GONE, _GONE)
    wanted = kept.wanted.model_copy(update={"dry_run": False})
    try:
        found = await asyncio.to_thread(queue_file, gateway.store.blocking, person, wanted, kept.path)
    except BacklogFull:
        plans.give_back(token, kept)
        raise
    except StoreError:
        if wanted.again:  # the file may be stored, and a second confirmation would store it twice
            kept.folder.cleanup()
        else:
            plans.give_back(token, kept)  # the same button works again, once Redis does
        raise
    except BaseException:
        kept.folder.cleanup()
        raise
    kept.folder.cleanup()
    return see_other(f"/uploads/{found['id']}")
