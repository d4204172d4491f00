"""`POST /v1/files`: queue a file of any length, as `gaugepost upload` does: checked, split, and stored as one set."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.durations import moment
from gaugepost.errors import InvalidJob, Problem
from gaugepost.file_families import Family
from gaugepost.files.limits import MAX_FILE
from gaugepost.jobs.base import BATCH_PATTERN, MAX_BATCH
from gaugepost.jobs.field_types import MAX_AHEAD
from gaugepost.ledger.api_keys import Scope
from gaugepost.regions import Region
from gaugepost.uploads import uploaded_before
from gaugepost_ops.cli.uploads.part_rows import enqueued_parts, part_row
from gaugepost_ops.web.auditing import recorded
from gaugepost_ops.web.forms import BrokenForm, WrongField, read_form
from gaugepost_ops.web.gateway import header
from gaugepost_ops.web.problems import Refused, wrong_fields

if TYPE_CHECKING:
    from gaugepost.client import Producer
    from gaugepost.ledger import Ledger
    from gaugepost_ops.web.actors import Actor
    from gaugepost_ops.web.gateway import Gateway

MOST_BODY = MAX_FILE + 1_100_000
UPLOAD_S = 900.0
_FILENAME = re.compile(r"[^/\\\x00-\x1f\x7f\"]{1,128}")
_JSON = "application/json"


class NewFile(BaseModel, extra="forbid"):
    """The fields of `POST /v1/files`, beside `file`."""

    region: Region
    family: Family
    source: Annotated[str | None, Field(pattern=r"^[\w.:/-]{1,64}$")] = None
    deliver_at: Annotated[str | None, Field(description="A time with its offset, or a duration from now: 2h, 3d.")] = (
        None
    )
    batch: Annotated[str | None, Field(max_length=MAX_BATCH, pattern=BATCH_PATTERN)] = None
    again: Annotated[bool, Field(description="Even if the content was uploaded in the last 30 days.")] = False
    first: Annotated[bool, Field(description="Before all files that wait in the lane.")] = False
    dry_run: Annotated[bool, Field(description="Check, split and forecast; store nothing.")] = False

    @field_validator("deliver_at")
    @classmethod
    def _is_near(cls, text: str | None) -> str | None:
        if text is not None and (_later(text) or datetime.now(UTC)) > datetime.now(UTC) + MAX_AHEAD:
            raise ValueError(f"expected at most {MAX_AHEAD.days} days ahead")
        return text

    def due(self) -> datetime | None:
        """Return the time before which no part is sent."""
        return None if self.deliver_at is None else _later(self.deliver_at)


def _later(text: str) -> datetime:
    found = moment(text)
    return datetime.now(UTC) + found if isinstance(found, timedelta) else found


def add_routes(api: FastAPI) -> None:
    """Add the route of this module."""
    api.add_api_route("/v1/files", post_file, methods=["POST"])


async def post_file(request: Request) -> Response:
    """Queue a file: check it, split it, and queue its parts."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.ENQUEUE)
    if gateway.uploads.locked():
        detail = "this gateway takes as many files as it can: try again"
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "5"})
    async with gateway.uploads:
        with TemporaryDirectory(prefix="gaugepost-") as name:
            wanted, file = await read_file_form(request, Path(name))
            caller = await gateway.callers.again(caller)
            caller.key_for(wanted.region)
            found = await asyncio.to_thread(queue_file, gateway.store.blocking, caller, wanted, file)
    status = HTTPStatus.OK if wanted.dry_run else HTTPStatus.CREATED
    location = {} if wanted.dry_run else {"Location": f"/v1/files/{found['id']}"}
    return Response(to_json(found), status, location, media_type=_JSON)


async def read_file_form(request: Request, folder: Path, *, blanks: bool = False) -> tuple[NewFile, Path]:
    """Read the form into a folder. Return its fields, and the path of the file. Raises Refused.

    `blanks`: an empty field counts as none, since browsers send all fields of a form.
    """
    kind = header(request.scope, b"content-type") or ""
    if not kind.lower().startswith("multipart/form-data"):
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected the Content-Type multipart/form-data")
    try:
        async with asyncio.timeout(UPLOAD_S):
            form = await read_form(kind, request.receive, MOST_BODY, folder)
    except BrokenForm as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the body is no form that can be read: {error}") from None
    except WrongField as error:
        raise _wrong(error.field, error.expected) from None
    except TimeoutError:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, f"the file did not arrive within {UPLOAD_S:.0f} s") from None
    with form:
        try:
            wanted = NewFile.model_validate({name: text for name, text in form.fields.items() if text or not blanks})
        except ValidationError as error:
            raise wrong_fields(error) from None
        name, file = form.files.get("file", ("", None))
        if file is None or len(form.files) > 1:
            raise _wrong("file", "required: one file, with its name")
        if not _FILENAME.fullmatch(name) or name in {".", ".."} or len(name.encode()) > 255:  # noqa: PLR2004 - of a folder
            raise _wrong("file", "expected a file name of at most 128 characters, without quotes and slashes")
        return wanted, await asyncio.to_thread(_named, Path(file.name), name)


def _named(file: Path, name: str) -> Path:
    """Give a file its name, in a folder of its own. Return its path."""
    path = file.parent / "file" / name
    path.parent.mkdir()
    return file.rename(path)


def _wrong(field: str, message: str) -> Refused:
    errors = [{"field": field, "message": message}]
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"nothing was stored: {field}: {message}", errors=errors)


def queue_file(producer: Producer, caller: Actor, wanted: NewFile, path: Path) -> dict[str, Any]:
    """Check, split and queue a file. Return its set, and the rows of `upload --json`."""
    region, family, due = wanted.region, wanted.family, wanted.due()
    ledger = producer.ledger(region)
    try:
        uploaded, parts = producer.uploads.plan(path, region, family, first=wanted.first, deliver_at=due)
    except InvalidJob as error:
        raise InvalidJob([Problem("file", problem.expected) for problem in error.problems]) from None
    found: dict[str, Any] = {"id": None, "region": region, "family": family, "filename": path.name}
    with uploaded:
        found |= {"rows": uploaded.rows, "notes": list(uploaded.notes)}
        if not wanted.again:
            _refuse_second(ledger, family, uploaded.sha256)
        if wanted.dry_run:
            return found | {"parts": [part_row(part, None) for part in parts]}
        source = caller.source_in(region) or wanted.source
        with recorded(ledger, caller, "upload", path.name) as record:
            how: dict[str, Any] = {"again": wanted.again, "first": wanted.first, "deliver_at": due}
            try:
                files = producer.uploads.upload(
                    uploaded, parts, region, family, source=source, batch=wanted.batch, **how
                )
            except InvalidJob:
                _refuse_second(ledger, family, uploaded.sha256)  # another request has stored the same file meanwhile
                raise
            record.target += f" {files.id}"
            record.count = len(parts)
    rows = [part_row(part, files) for part in enqueued_parts(ledger, files, parts)]
    return found | {"id": files.id, "parts": rows}


def _refuse_second(ledger: Ledger, family: Family, sha256: str) -> None:
    """Raise Refused (409), with the set that has this content already, if there is one."""
    before = ledger.file_sets.uploaded_before(family, sha256)
    if before:
        raise Refused(HTTPStatus.CONFLICT, f"nothing was stored: {uploaded_before(before)}", id=before)
