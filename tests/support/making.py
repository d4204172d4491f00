"""Jobs of each kind in few words."""

from __future__ import annotations

import base64
from typing import Any

from gaugepost import CloseLoop, File, FileDelete, PersonalLink, Record, Response

MAPPING = "53505294-0b20-2509-b15d-c8e377701d66"


def record(**more: Any) -> Record:
    return Record.model_validate({"region": "eu", "configuration": MAPPING, "record": {"Email": "a@b.example"}} | more)


def link(**more: Any) -> PersonalLink:
    told = {"region": "eu", "configuration": MAPPING, "record": {"Email": "a@b.example"}} | more
    return PersonalLink.model_validate(told)


def case(number: int = 53499, **more: Any) -> CloseLoop:
    return CloseLoop.model_validate({"region": "eu", "number_customergauge": number, "status": "open"} | more)


def response(**more: Any) -> Response:
    return Response.model_validate({"region": "eu", "fields": {"Email": "a@b.example"}} | more)


def file_delete(**more: Any) -> FileDelete:
    return FileDelete.model_validate({"region": "eu", "upload_id": 12} | more)


def upload(name: str = "march.csv", content: bytes = b"Email\na@b.example\n", **more: Any) -> File:
    told = {"region": "eu", "family": "transactional", "filename": name}
    return File.model_validate(told | {"content_base64": base64.b64encode(content).decode()} | more)
