"""What each part needs of Redis' ACL.

The rights of the scripts are read from their text, so that a new command or key in one cannot be forgotten. What parts
do without a script is listed here. `docs/redis-acl.md` is made from this; `permissions.py` looks what a user lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from gaugepost.keys import FAMILIES, FIXED
from gaugepost.ledger.script_rights import commands_in, keys_in
from gaugepost.ledger.scripts import load_scripts

if TYPE_CHECKING:
    from gaugepost.keys import Keys

A_LANE_EACH = frozenset({"files", "slot", "filing"})
"""Keys that end in `:<family of files>`, where each family has an upload lane of its own."""

OF_OLDER = ("schema", "stamp")
"""Keys of a version without namespaces that show where its ledger is (`key_prefix.py`)."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a part's user needs. `keys` are names and families of keys.py, `queues` and `channels` patterns."""

    commands: frozenset[str]
    keys: frozenset[str]
    queues: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


def named(pattern: str, keys: Keys, db: object = 0) -> str:
    """Put the names of a region and a database into a pattern of `Rights.queues` or `Rights.channels`."""
    return pattern.format(queue=keys.queue, control=keys.control_exchange, events=keys.event_exchange, db=db)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@cache
def _of_scripts(*names: str) -> Rights:
    """Return the rights that these scripts may need, whatever way they go."""
    text = "\n".join(load_scripts()[name] for name in names)
    return Rights(_words(_SCRIPTED) | commands_in(text), keys_in(text))


_BELLS = ("{queue}", "{queue}.urgent")
_TICKS = "{queue}.ticks"
_MAILBOXES = (
    "*.{control}.pidbox",
    *("_kombu.binding*.{control}.*", "_kombu.binding*.{events}", "_kombu.binding_deadlines"),
)
_BROADCASTS = ("/{db}.{control}.pidbox", "/{db}.{events}/*")
_SERVICE = ("enqueue", "enqueue_set", "unstage", "read", "cancel", "note_fields")
_SCRIPTED = "EVAL EVALSHA EVAL_RO"
_CELERY = "PUBLISH PSUBSCRIBE PUNSUBSCRIBE BRPOP LPUSH LLEN SADD SREM SMEMBERS DEL MULTI EXEC"
_EXPIRING = "EVALSHA SCRIPT|LOAD SCRIPT|EXISTS TIME ZADD ZREM ZRANGEBYSCORE EXISTS"
"""Of the scripts of kombu, for queues that expire."""


def _service() -> Rights:
    scripts = _of_scripts(*_SERVICE)
    looks = _words("WAIT GET SET HGETALL TIME ZCOUNT")
    return Rights(scripts.commands | looks, scripts.keys | _words("holds slot undo: set:"), _BELLS)


def _operator() -> Rights:
    scripts = _of_scripts(*_SERVICE, "replay", "resolve", "hold", "resume")
    looks = "GET HGET HKEYS HMGET INFO LLEN LRANGE SMEMBERS TIME ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZREM ZREVRANGE"
    return Rights(scripts.commands | _words(f"WAIT SET {looks}"), frozenset({*FIXED, *FAMILIES}), (*_BELLS, _TICKS))


def _worker() -> Rights:
    """Return those of all scripts, of Celery, and of an operator: `gaugepost check` runs where workers do."""
    operator, scripts = _operator(), _of_scripts(*load_scripts())
    commands = operator.commands | scripts.commands | _words(f"{_CELERY} {_EXPIRING}")
    return Rights(commands, operator.keys, (*operator.queues, *_MAILBOXES), _BROADCASTS)


def _beat() -> Rights:
    """Return those of `tick.lua`, and of `gaugepost health beat`, which tries a write that changes nothing."""
    scripts = _of_scripts("tick")
    return Rights(scripts.commands | {"ZREM"}, scripts.keys | {"leases"}, (_TICKS,))


def _exporter() -> Rights:
    commands = "EVAL_RO GET HGET HGETALL HKEYS HMGET INFO LLEN LRANGE TIME ZCOUNT ZRANGE ZRANGEBYSCORE ZREVRANGE"
    places = "again alive cold files leases parked schema stamp turns unknown urgent_turns waiting"
    figures = "concurrency content_bytes counts holds pace slot token workers"
    return Rights(_words(commands), _words(f"{places} {figures} job: urgent: ready: held:"), (_TICKS,))


def _flower() -> Rights:
    queues = (*_BELLS, _TICKS, *_MAILBOXES, "{events}.*")
    return Rights(_words(f"EVAL_RO {_CELERY} {_EXPIRING}"), frozenset(), queues, _BROADCASTS)


class Part(StrEnum):
    """Who uses Redis, each as a user of its own."""

    SERVICE = "service"
    WORKER = "worker"
    BEAT = "beat"
    OPERATOR = "operator"
    EXPORTER = "exporter"
    FLOWER = "flower"


RIGHTS = {
    Part.SERVICE: _service,
    Part.WORKER: _worker,
    Part.BEAT: _beat,
    Part.OPERATOR: _operator,
    Part.EXPORTER: _exporter,
    Part.FLOWER: _flower,
}
