"""What a script may do in Redis: the commands and keys in its text, and the Lua that asks the ACL for all of them.

Redis takes nothing back of a script that its ACL refuses half-way: a job would be stored that no list names. So each
script asks for all of its rights before its first write. Redis can be asked from 7.0 on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gaugepost.keys import FIXED
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STATES = frozenset(map(str, JobState)) & FIXED.keys()

_ARGUMENTS = {
    "'TIME'": "TIME",
    "'{}', PREFIX": "DEL EXISTS GET HGETALL HKEYS HLEN LLEN LPOP PERSIST PTTL SMEMBERS SRANDMEMBER STRLEN "
    "TYPE UNLINK ZCARD ZPOPMIN",
    "'{}', PREFIX, '0'": "DECRBY EXPIRE HDEL HEXISTS HGET HMGET HSCAN INCRBY LINDEX LPUSH PEXPIRE RPUSH SADD SET SREM "
    "XDEL ZREM ZSCORE",
    "'{}', PREFIX, '0', '0'": "HINCRBY HSET HSETNX LRANGE LREM LTRIM XREVRANGE ZADD ZCOUNT ZRANGE ZRANGEBYSCORE "
    "ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGEBYSCORE",
    "'{}', PREFIX, '*', '0', '0'": "XADD",
    "'{}', PREFIX, PREFIX": "RENAME",
    "'{}', PREFIX, 'AFTER', '0', '0'": "LINSERT",
    "'{}', PREFIX, PREFIX, 'LEFT', 'RIGHT'": "LMOVE",
}
"""The fewest arguments with which Redis can be asked for a command → the commands."""
_ASK = {command: call.format(command) for call, commands in _ARGUMENTS.items() for command in commands.split()}


def commands_in(text: str) -> frozenset[str]:
    """Return the commands that a script runs, whatever way it goes."""
    return frozenset(re.findall(r"redis\.p?call\('(\w+)'", text))


def keys_in(text: str) -> frozenset[str]:
    """Return the names of keys and families (these end in `:`) that a script uses."""
    families = {f"{name}:" for name in re.findall(r"\bF\.(\w+)", text)}
    states = _STATES if "K[" in text else frozenset[str]()
    return states | families | frozenset(re.findall(r"\bK\.(\w+)", text))


_RUN_BEFORE = frozenset({"GET", "TIME"})
"""The commands that base.lua has run before the guard. Each question less makes a script faster by about 0.4 %."""


def guard(base: str, rest: str) -> str:
    """Write the Lua that returns an error where the user of a script lacks a right.

    It goes behind base.lua, which finds PREFIX, and before `rest`, which writes.
    """
    asked = commands_in(rest if "allow_oom()" not in rest else base + rest) - _RUN_BEFORE
    return "\n".join(_guard(asked, keys_in(base + rest)))


def _guard(commands: Iterable[str], used: Iterable[str]) -> Iterator[str]:
    # A user who may change users can give itself any right. It pays one question instead of all: 6 % of an enqueue.
    # A pattern that matches the empty name matches all names, so a user with all keys pays one question for them.
    all_keys = "may('EVALSHA', '0', '1', '')"
    keys = ", ".join(f"PREFIX .. '{name}'" for name in sorted(used))
    lacks = " or ".join(f"not may({_ASK[command]}) and '{command}'" for command in sorted(commands))
    yield "local may = redis.acl_check_cmd"
    yield "if may and not may('ACL', 'SETUSER', '') then"
    yield f"  if not {all_keys} and may('EVALSHA', '0', '0') then"
    yield f"    local keys, refused = {{{keys}}}, {{}}"
    yield "    for i = 2, #KEYS do keys[#keys + 1] = KEYS[i] end"
    yield "    if not may('EVALSHA', '0', #keys, unpack(keys)) then"
    yield "      for _, key in ipairs(keys) do"
    yield "        if not may('EVALSHA', '0', '1', key) then refused[#refused + 1] = key end"
    yield "      end"
    yield "      return redis.error_reply('LACKSKEYS ' .. table.concat(refused, ' '))"
    yield "    end"
    yield "  end"
    yield f"  local lacks = {lacks or 'nil'}"
    yield "  if lacks then return redis.error_reply('LACKSCOMMAND ' .. lacks) end"
    yield "end"
