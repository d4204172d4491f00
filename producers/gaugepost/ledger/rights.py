"""The rights in Redis' ACL that each part needs.

The rights of scripts are extracted from their text, so that a new command or key is never forgotten. This module lists
the commands that parts run outside of scripts. `make docs` writes `docs/redis-acl.md` from it, and `permissions.py`
checks a user against it.
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
"""Keys that end in `:<family of files>` if each family has its own upload lane."""

OF_OLDER = ("schema", "stamp")
"""Keys of versions without namespaces by which `key_prefix.py` finds their ledger."""


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of a part's user. `keys`: names and families of keys.py. `queues` and `channels`: patterns."""

    commands: frozenset[str]
    keys: frozenset[str]
    queues: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


def named(pattern: str, keys: Keys, db: object = 0) -> str:
    """Fill in a pattern of `Rights.queues` or `Rights.channels`: the region's names and the database number."""
    return pattern.format(queue=keys.queue, control=keys.control_exchange, events=keys.event_exchange, db=db)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@cache
def _of_scripts(*names: str) -> Rights:
    """Return the rights that these scripts may need, in all their branches."""
    text = "\n".join(load_scripts()[name] for name in names)
    return Rights(_words(_SCRIPTED) | commands_in(text), keys_in(text))


_BELLS = ("{queue}", "{queue}.urgent")
_TICKS = "{queue}.ticks"
_MAILBOXES = (
    "*.{control}.pidbox",
    *("_kombu.binding*.{control}.*", "_kombu.binding*.{events}", "_kombu.binding_deadlines"),
)
_BROADCASTS = ("/{db}.{control}.pidbox", "/{db}.{events}/*")
_SERVICE = (
    *("enqueue", "enqueue_batch", "enqueue_set", "unstage", "read", "arrive", "find", "page", "cancel", "note_fields"),
    "audit",
)
_ERASE = ("erase", "unindexed", "index")
_GATEWAY = (
    *("enqueue", "enqueue_batch", "read", "note_fields", "arrive", "find", "page", "cancel", "hold", "resume", "audit"),
    *("replay", "resolve", "enqueue_set", "unstage", "operation_start", "operation_control"),
    *("states", "api_keys_read", "api_rate", "api_ready", "front_token_put", "front_token_read"),
    *("users_read", "session_put", "session_read", "session_drop", "sign_out", "sign_in_try", "sign_in_worked"),
    "sign_in_link_read",
)
_SCRIPTED = "EVAL EVALSHA EVAL_RO"
_CELERY = "PUBLISH PSUBSCRIBE PUNSUBSCRIBE BRPOP LPUSH LLEN SADD SREM SMEMBERS DEL MULTI EXEC"
_EXPIRING = "EVALSHA SCRIPT|LOAD SCRIPT|EXISTS TIME ZADD ZREM ZRANGEBYSCORE EXISTS"
"""The commands of kombu's scripts for queues that expire."""


_OLDER_SERVICE = Rights(_words("DEL HEXISTS SREM"), _words("concurrency"))
_OLDER_BEAT = Rights(_words("HDEL HINCRBY LTRIM RPUSH SET"), _words("counts notices stamp"))
"""What scripts of older versions also ask for: an operator loads these lines before the upgrade (docs/upgrades.md)."""


def _service() -> Rights:
    scripts = _of_scripts(*_SERVICE)
    commands = _words("WAIT GET SET HGETALL TIME ZCOUNT") | _OLDER_SERVICE.commands
    keys = _words("holds slot undo: set:") | _OLDER_SERVICE.keys
    return Rights(scripts.commands | commands, scripts.keys | keys, _BELLS)


def _operator() -> Rights:
    scripts = _of_scripts(
        *(*_SERVICE, "replay", "resolve", "hold", "resume", "operation_start", "operation_control", *_ERASE),
        *("api_key_put", "api_key_drop", "api_keys_read"),
        *("user_put", "user_drop", "users_read", "sign_out", "sign_in_link"),
        *("webhook_put", "webhook_drop", "webhook_secrets", "webhook_test", "webhook_retry", "webhook_settle"),
    )
    looks = "GET HGET HKEYS HMGET INFO LLEN LRANGE SMEMBERS TIME ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZREM ZREVRANGE"
    commands = scripts.commands | _OLDER_SERVICE.commands | _words(f"WAIT SET {looks} XLEN XREVRANGE")
    return Rights(commands, frozenset({*FIXED, *FAMILIES}), (*_BELLS, _TICKS))


def _worker() -> Rights:
    """Return the rights of all scripts, of Celery, and of an operator: `gaugepost check` runs as the worker's user."""
    operator, scripts = _operator(), _of_scripts(*load_scripts())
    commands = operator.commands | scripts.commands | _words(f"{_CELERY} {_EXPIRING}")
    return Rights(commands, operator.keys, (*operator.queues, *_MAILBOXES), _BROADCASTS)


def _beat() -> Rights:
    """Return the rights of `tick.lua` and of `gaugepost health beat`, which tries a write without effect."""
    scripts = _of_scripts("tick")
    commands, keys = scripts.commands | _OLDER_BEAT.commands, scripts.keys | _OLDER_BEAT.keys
    return Rights(commands | {"ZREM"}, keys | {"leases"}, (_TICKS,))


def _exporter() -> Rights:
    commands = "EVAL_RO GET HGET HGETALL HKEYS HMGET INFO LLEN LRANGE TIME ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZREVRANGE"
    places = "again alive cold files leases parked scheduled schema stamp turns unknown urgent_turns waiting"
    figures = "concurrency content_bytes counts holds pace slot token workers"
    webhooks = "webhooks webhook: untried: outbox: given_up:"
    return Rights(_words(commands), _words(f"{places} {figures} {webhooks} job: urgent: ready: held:"), (_TICKS,))


def _flower() -> Rights:
    queues = (*_BELLS, _TICKS, *_MAILBOXES, "{events}.*")
    return Rights(_words(f"EVAL_RO {_CELERY} {_EXPIRING}"), frozenset(), queues, _BROADCASTS)


def _gateway() -> Rights:
    """Return the rights of `gaugepost serve`: its calls, and what it reads for listings and forecasts."""
    scripts, looks = _of_scripts(*_GATEWAY, "webhook_put", "webhook_drop"), _exporter()
    commands = (scripts.commands | looks.commands | _words("SET SMEMBERS WAIT XREVRANGE ZCARD")) - {"INFO"}
    places = "releasing batches batch: canary: undo: set: digest: content: operations operation: audit"
    places += " history_minutes history_quarters"
    return Rights(commands, scripts.keys | looks.keys | _words(places), _BELLS)


class Part(StrEnum):
    """The parts that use Redis; each can have its own user."""

    SERVICE = "service"
    WORKER = "worker"
    BEAT = "beat"
    OPERATOR = "operator"
    EXPORTER = "exporter"
    FLOWER = "flower"
    GATEWAY = "gateway"


RIGHTS = {
    Part.SERVICE: _service,
    Part.WORKER: _worker,
    Part.BEAT: _beat,
    Part.OPERATOR: _operator,
    Part.EXPORTER: _exporter,
    Part.FLOWER: _flower,
    Part.GATEWAY: _gateway,
}
