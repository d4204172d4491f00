"""Checks Celery messages: only plain bells and ticks pass, and remote-control commands that only read.

A message may name Celery's built-in tasks, start callbacks, or stay in a worker's memory until its `eta`. A broadcast
can shut all workers down, and its pattern may be a regular expression that never ends.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Json, TypeAdapter, ValidationError

from gaugepost.bell import bell
from gaugepost_workers.celery_app.remote_control import ALLOWED_COMMANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

_Name = Annotated[str, Field(pattern=r"^[\w.@:-]{0,200}$")]
_Absent = Annotated[None, Field(default=None)]


def _decoded(body: object) -> object:
    return base64.b64decode(body, validate=True) if isinstance(body, str) else body


class _Route(BaseModel):
    exchange: _Name
    routing_key: _Name


class _Properties(BaseModel):
    """The properties without which kombu fails."""

    delivery_tag: Annotated[_Name, Field(min_length=1)]
    delivery_info: _Route
    body_encoding: Literal["base64"]


class _Message(BaseModel):
    """Any message that kombu can deliver without an error. Subclasses check the body."""

    body: str
    headers: dict[str, Any]
    properties: _Properties


class _Headers(BaseModel):
    """A plain call of a task: no eta, no retry, no group, no compression."""

    task: str
    id: Annotated[_Name, Field(min_length=1)]
    eta: _Absent
    expires: _Absent
    group: _Absent
    shadow: _Absent
    compression: _Absent
    timelimit: tuple[None, None] | None = None
    retries: Literal[0] = 0


class _Embedded(BaseModel):
    callbacks: _Absent
    errbacks: _Absent
    chain: _Absent
    chord: _Absent


class _Bell(_Message):
    """A task message without arguments. It may have other headers, because later versions may add some."""

    content_type: Annotated[Literal["application/json"], Field(alias="content-type")]
    content_encoding: Annotated[Literal["utf-8"], Field(alias="content-encoding")]
    body: Annotated[Json[tuple[tuple[()], dict[str, None], _Embedded]], BeforeValidator(_decoded)]  # type: ignore[assignment]
    headers: _Headers  # type: ignore[assignment]


class _Arguments(BaseModel):
    """The allowed arguments of a command. `taskinfoitems` must be empty: it names attributes of our tasks to show."""

    model_config = ConfigDict(extra="forbid")
    safe: bool | None = None
    with_defaults: bool = False
    builtins: bool = False
    taskinfoitems: tuple[()] = ()


class _CommandBody(BaseModel):
    """A command to all workers or to named ones. No pattern: the worker would run it as a regular expression."""

    model_config = ConfigDict(extra="forbid")
    method: str
    arguments: _Arguments = _Arguments()
    destination: list[_Name] | None = None
    pattern: _Absent
    matcher: _Absent
    ticket: _Name | None = None
    reply_to: _Route | None = None


class _CommandHeaders(BaseModel):
    """Limits the clock: a worker puts it into every later event."""

    clock: Annotated[int, Field(strict=True, ge=0, le=2**53)] = 0
    compression: _Absent


class _Command(_Message):
    """A remote-control command."""

    content_type: Annotated[Literal["application/json"], Field(alias="content-type")]
    content_encoding: Annotated[Literal["utf-8"], Field(alias="content-encoding")]
    body: Annotated[Json[_CommandBody], BeforeValidator(_decoded)]  # type: ignore[assignment]
    headers: _CommandHeaders  # type: ignore[assignment]


_MESSAGE, _BELL, _COMMAND = TypeAdapter(_Message), TypeAdapter(_Bell), TypeAdapter(_Command)
_KNOWN_FIELDS = frozenset(
    str(name)
    for model in (_Message, _Properties, _Headers, _CommandBody, _CommandHeaders, _Bell)
    for field, info in model.model_fields.items()
    for name in (field, info.alias)
)
_PLAIN_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


def _equals_a_bell(message: Any, tasks: Sequence[str]) -> bool:  # noqa: ANN401 - whatever a queue holds
    """Return whether a message equals one that our scripts push. This takes a tenth of the time of the full check."""
    try:
        headers, properties = message["headers"], message["properties"]
        queue, tag = properties["delivery_info"]["routing_key"], properties["delivery_tag"]
        task, message_id = headers["task"], headers["id"]
        is_plain = task in tasks and all(map(_PLAIN_NAME.fullmatch, (queue, message_id, tag)))
        return is_plain and message == bell(queue, task, message_id, tag)
    except (TypeError, LookupError):
        return False


def fault_of(message: object, tasks: Sequence[str] | None) -> str | None:
    """Return what is wrong with a message, None if nothing. The text holds no data.

    `tasks`: the task names that its queue allows; None checks only the shape of a message.
    """
    if tasks is not None and _equals_a_bell(message, tasks):
        return None
    try:
        if tasks is None:
            _MESSAGE.validate_python(message)
        elif _BELL.validate_python(message).headers.task not in tasks:
            return "another task"
    except ValidationError as error:
        return _fault(error)
    return None


def fault_of_command(message: object) -> str | None:
    """Return what is wrong with a remote-control command, None if nothing. The text holds no data."""
    try:
        return None if _COMMAND.validate_python(message).body.method in ALLOWED_COMMANDS else "another command"
    except ValidationError as error:
        return _fault(error)


def _fault(error: ValidationError) -> str:
    """Return the path of the first wrong field. Unknown names become "other": they may be data."""
    place = error.errors(include_input=False)[0]["loc"][:2]
    words = (str(part) if isinstance(part, int) or part in _KNOWN_FIELDS else "other" for part in place)
    return ".".join(words) or "no message"
