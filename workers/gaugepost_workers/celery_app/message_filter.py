"""Lets through to Celery only our bells and ticks, and the remote-control commands that Flower sends.

Stock Celery trusts everyone who can write to its broker. One list entry that is not a message ends the worker process,
and the next one that starts. A message may name Celery's built-in tasks, start callbacks, or stay in a worker's memory
until its `eta`. A broadcast can shut all workers down, and its pattern may be a regular expression that never ends.

So each message is decoded and checked before kombu and Celery see it, and only commands that read are allowed. A
discarded message is counted, and logged with its queue and its kind of fault, never with its text.
"""

from __future__ import annotations

import base64
import functools
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import redis
import redis.client
import structlog
from celery.worker.control import Panel
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Json, TypeAdapter, ValidationError

from gaugepost.bell import bell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = structlog.get_logger("gaugepost.message_filter")

ALLOWED_COMMANDS = frozenset(
    {
        *("ping", "stats", "conf", "registered", "active_queues", "active", "reserved", "scheduled", "revoked"),
        *("enable_events", "heartbeat"),  # Flower sends the first; both only make a worker send events
    }
)
"""The remote-control commands that a worker answers. Celery has about 25 more, `shutdown` among them."""

_BROKER_FIELDS = ("transport", "hostname", "port", "virtual_host")
"""The fields of the broker that `stats` returns."""

_MAX_MESSAGE_BYTES = 1_000_000
"""Longer messages are not decoded. Ours have less than 1,000 bytes, a worker's replies about 10,000."""

on_discarded: list[Callable[[], None]] = []
"""Functions to call for each discarded message."""

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


def _discard(queue: str, fault: str) -> None:
    log.warning("message thrown away", queue=queue, fault=fault)
    for count in on_discarded:
        count()


def _decodes(text: object) -> bool:
    """Return whether kombu can decode a message. Its JSON has own types, whose constructors may raise any exception."""
    if not isinstance(text, bytes) or len(text) > _MAX_MESSAGE_BYTES:
        return False
    try:
        loads(bytes_to_str(text))
    except Exception:  # noqa: BLE001 - AttributeError, RecursionError, decimal.InvalidOperation, …
        return False
    return True


class FilteredTransport:
    """Checks each message before kombu delivers it. Transport option `bells`: queue → names of its allowed tasks."""

    client: Any

    def _deliver(self, message: Any, queue: Any) -> Any:  # noqa: ANN401 - kombu's signature
        bells = self.client.transport_options.get("bells", {})
        if queue in bells:
            fault = fault_of(message, bells[queue])
        elif _is_mailbox(queue):
            fault = fault_of_command(message)
        else:  # replies and events for Flower
            fault = fault_of(message, None)
        if fault is None:
            return super()._deliver(message, queue)  # type: ignore[misc] # a mixin
        _discard(queue if queue in bells else "other", fault)
        return None


def _is_mailbox(queue: object) -> bool:
    """Return whether a queue has commands for workers, and not replies."""
    return isinstance(queue, str) and queue.endswith(".pidbox") and ".reply." not in queue


class FilteredRedis(redis.Redis):
    """A client that returns `null` for a list entry that kombu cannot decode: the entry would end the worker."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:  # noqa: ANN401 - as in redis-py
        found = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name == "BRPOP" and found and not _decodes(found[1]):
            return found[0], b"null"
        return b"null" if command_name == "RPOP" and found and not _decodes(found) else found

    def pubsub(self, **kwargs: Any) -> FilteredPubSub:  # noqa: ANN401 - as in redis-py
        return FilteredPubSub(self.connection_pool, **kwargs)


class FilteredPubSub(redis.client.PubSub):
    """A subscription that returns `null` for a published message that kombu cannot decode."""

    def parse_response(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as in redis-py
        found = super().parse_response(*args, **kwargs)  # type: ignore[no-untyped-call]
        if isinstance(found, list) and found and found[0] in {b"message", b"pmessage"} and not _decodes(found[-1]):
            return [*found[:-1], b"null"]
        return found


class FilteredChannel:
    """Reads with a filtered client."""

    def _get_client(self) -> Any:  # noqa: ANN401 - kombu's signature
        super()._get_client()  # type: ignore[misc] # a mixin: it checks redis-py's version
        return FilteredRedis

    def _deliver_fanout_message(self, message: Any, exchange: Any) -> Any:  # noqa: ANN401 - kombu's signature
        if isinstance(message, dict) and isinstance(message.get("properties"), dict):
            return super()._deliver_fanout_message(message, exchange)  # type: ignore[misc] # a mixin
        _discard("other", "no message")
        return False


def restrict_remote_control(concurrency: int) -> None:
    """Remove the remote-control commands that change something, and hide the broker's password from `stats`.

    `concurrency`: the number of sender threads, for `stats`. Celery knows only its few threads for bells and ticks.
    """
    for command in set(Panel.data) - ALLOWED_COMMANDS:
        del Panel.data[command]
    theirs = Panel.data["stats"]

    # Celery's own `stats` returns all transport options: the password of Sentinel, and objects that have no JSON.
    @functools.wraps(theirs)
    def stats(state: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - Celery's signature
        shown: dict[str, Any] = theirs(state, **more)
        place = {name: shown["broker"][name] for name in _BROKER_FIELDS}
        pool = {"implementation": shown["pool"]["implementation"], "max-concurrency": concurrency}
        return shown | {"broker": place, "pool": pool}

    Panel.data["stats"] = stats
