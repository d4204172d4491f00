"""What of Redis reaches Celery: our own bells and ticks, and the questions that Flower asks. Nothing else.

Stock Celery trusts whoever can write to its broker. One list entry that is no message ends the worker process, and
the next one that is started; a message may name Celery's built-in tasks, call back, or lie in a worker's memory until
its `eta`; a broadcast shuts all workers down. So a message is looked at before Celery sees it, and remote control is
left with what only looks. What is thrown away is told by its queue and the sort of fault: its text may be anything.
"""

from __future__ import annotations

import base64
import functools
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import structlog
from celery.worker.control import Panel
from pydantic import BaseModel, BeforeValidator, Field, Json, TypeAdapter, ValidationError

from gaugepost.bell import bell

if TYPE_CHECKING:
    from collections.abc import Sequence

log = structlog.get_logger("gaugepost.guard")

QUESTIONS = frozenset(
    {
        *("ping", "stats", "conf", "registered", "active_queues", "active", "reserved", "scheduled", "revoked"),
        *("enable_events", "heartbeat"),  # Flower sends the first, and both only make a worker tell
    }
)
"""The remote-control commands that a worker answers. Celery has some 25 more, `shutdown` among them."""

_PLACE = ("transport", "hostname", "port", "virtual_host")
"""What `stats` tells of the broker."""

# What JSON raises, and what kombu makes of some of it.
_UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)

_Name = Annotated[str, Field(pattern=r"^[\w.@:-]{0,200}$")]
_Nothing = Annotated[None, Field(default=None)]


def _unpacked(body: object) -> object:
    return base64.b64decode(body, validate=True) if isinstance(body, str) else body


class _Route(BaseModel):
    exchange: _Name
    routing_key: _Name


class _Properties(BaseModel):
    """What kombu needs of any message."""

    delivery_tag: Annotated[_Name, Field(min_length=1)]
    delivery_info: _Route
    body_encoding: Literal["base64"]


class _Message(BaseModel):
    """Whatever kombu can hand on without a fault of its own; its body is looked at by whoever decodes it."""

    body: str
    headers: dict[str, Any]
    properties: _Properties


class _Headers(BaseModel):
    """A call at once: not later, not again, in no group, not compressed."""

    task: str
    id: Annotated[_Name, Field(min_length=1)]
    eta: _Nothing
    expires: _Nothing
    group: _Nothing
    shadow: _Nothing
    compression: _Nothing
    timelimit: tuple[None, None] | None = None
    retries: Literal[0] = 0


class _Embedded(BaseModel):
    callbacks: _Nothing
    errbacks: _Nothing
    chain: _Nothing
    chord: _Nothing


class _Bell(_Message):
    """A message without arguments. New versions may add headers: those that do harm are named, not the others."""

    content_type: Annotated[Literal["application/json"], Field(alias="content-type")]
    content_encoding: Annotated[Literal["utf-8"], Field(alias="content-encoding")]
    body: Annotated[Json[tuple[tuple[()], dict[str, None], _Embedded]], BeforeValidator(_unpacked)]  # type: ignore[assignment]
    headers: _Headers  # type: ignore[assignment]


_MESSAGE, _BELL = TypeAdapter(_Message), TypeAdapter(_Bell)


_OUR_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


def _is_pushed_by_us(message: Any, tasks: Sequence[str]) -> bool:  # noqa: ANN401 - whatever a queue holds
    """Tell whether a message equals what our scripts push: a tenth of the time that the full check takes."""
    try:
        headers, properties = message["headers"], message["properties"]
        queue, tag = properties["delivery_info"]["routing_key"], properties["delivery_tag"]
        task, message_id = headers["task"], headers["id"]
        is_plain = task in tasks and all(map(_OUR_NAME.fullmatch, (queue, message_id, tag)))
        return is_plain and message == bell(queue, task, message_id, tag)
    except (TypeError, LookupError):
        return False


def fault_of(message: object, tasks: Sequence[str] | None) -> str | None:
    """Return what is wrong with a message, in words without data; None if nothing. `tasks`: it must ask for one."""
    if tasks is not None and _is_pushed_by_us(message, tasks):
        return None
    try:
        if tasks is None:
            _MESSAGE.validate_python(message)
        elif _BELL.validate_python(message).headers.task not in tasks:
            return "another task"
    except ValidationError as error:
        return ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"][:2]) or "no message"
    return None


class GuardedTransport:
    """Looks at each message before kombu delivers it. Transport option `bells`: queue → tasks that may be rung."""

    client: Any

    def _deliver(self, message: Any, queue: Any) -> Any:  # noqa: ANN401 - kombu's signature
        bells = self.client.transport_options.get("bells", {})
        fault = fault_of(message, bells.get(queue))
        if fault is None:
            return super()._deliver(message, queue)  # type: ignore[misc] # a mixin
        log.warning("message thrown away", queue=queue if queue in bells else "other", fault=fault)
        return None


class GuardedChannel:
    """Goes on where kombu would end the worker: at a list entry that is no JSON."""

    def _brpop_read(self, **options: Any) -> Any:  # noqa: ANN401 - kombu's signature
        try:
            return super()._brpop_read(**options)  # type: ignore[misc] # a mixin
        except _UNREADABLE as error:
            log.warning("message thrown away", fault=type(error).__name__)
            return True


def answer_questions_only() -> None:
    """Take from this process' remote control all that does more than look, or shows how to get into Redis."""
    for command in set(Panel.data) - QUESTIONS:
        del Panel.data[command]
    theirs = Panel.data["stats"]

    # Celery tells all transport options: the sentinels' password among them, and what has no JSON, so that it failed.
    @functools.wraps(theirs)
    def stats(state: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - Celery's signature
        told: dict[str, Any] = theirs(state, **more)
        return told | {"broker": {name: told["broker"][name] for name in _PLACE}}

    Panel.data["stats"] = stats
