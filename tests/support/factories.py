"""Make jobs of each kind with short calls."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from gaugepost import CloseLoop, File, FileDelete, PersonalLink, Record, Region, Response
from gaugepost.jobs.file import Stored
from gaugepost.ledger import Entry, FileSet
from gaugepost.ledger.entry import new_job_id
from gaugepost.ledger.file_sets import new_set_id

MAPPING = "53505294-0b20-2509-b15d-c8e377701d66"


def record(**more: Any) -> Record:
    return Record.model_validate({"region": "eu", "configuration": MAPPING, "record": {"Email": "a@b.example"}} | more)


def link(**more: Any) -> PersonalLink:
    fields = {"region": "eu", "configuration": MAPPING, "record": {"Email": "a@b.example"}} | more
    return PersonalLink.model_validate(fields)


def case(number: int = 53499, **more: Any) -> CloseLoop:
    return CloseLoop.model_validate({"region": "eu", "number_customergauge": number, "status": "open"} | more)


def response(**more: Any) -> Response:
    return Response.model_validate({"region": "eu", "fields": {"Email": "a@b.example"}} | more)


def file_delete(**more: Any) -> FileDelete:
    return FileDelete.model_validate({"region": "eu", "upload_id": 12} | more)


def upload(name: str = "march.csv", content: bytes = b"Email\na@b.example\n", **more: Any) -> File:
    fields = {"region": "eu", "family": "transactional", "filename": name}
    return File.model_validate(fields | {"content_base64": base64.b64encode(content).decode()} | more)


def file_set(parts: int = 3, family: Any = "transactional", content: str = "c") -> tuple[FileSet, list[Entry]]:
    """Make a file set of `parts` parts, without storing it in the ledger."""
    set_id, sha256 = new_set_id(), hashlib.sha256(content.encode()).hexdigest()
    entries = []
    for n in range(1, parts + 1):
        name = f"e.part-{n}-of-{parts}.csv"
        about = {"set": set_id, "part": n, "of": parts, "first_row": 1 + 2000 * (n - 1)}
        stored = Stored.model_validate({"sha256": sha256, "size": 1, "rows": 2000, "name": name} | about)
        entries.append(Entry(new_job_id(), File(region=Region.EU, family=family, filename="e.csv", stored=stored)))
    return FileSet(set_id, "eu", family, "e.csv", sha256, 2000 * parts, tuple(one.id for one in entries)), entries
