"""Generate the Redis users of `docs/redis-acl.md` from the rights of each part (`gaugepost.ledger.rights`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.keys import FAMILIES, FIXED, NAMESPACE, Keys, older
from gaugepost.ledger.rights import A_LANE_EACH, OF_OLDER, RIGHTS, Rights, named
from gaugepost.regions import Region

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.ledger.rights import Part

_ALL_KEYS = frozenset({*FIXED, *FAMILIES})
_PREFIX = NAMESPACE + ":{*}:"


def users() -> str:
    """Return one line of an ACL file for the user of each part, with its rights in all regions."""
    lines = [_line(part, rights()) for part, rights in RIGHTS.items()]
    return "\n".join(["```acl", "user default on >password-of-default ~* &* +@all", *lines, "```"])


def _line(part: Part, rights: Rights) -> str:
    keys = [f"{_PREFIX}*"] if rights.keys >= _ALL_KEYS else [*_patterns(rights.keys)]
    keys += [older(_PREFIX) + name for name in OF_OLDER if rights.keys]
    queues = [queue for pattern in rights.queues for queue in _of_regions(pattern)]
    channels = [f"&{named(channel, Keys(Region.EU))}" for channel in rights.channels]
    commands = [f"+{command.lower()}" for command in sorted(rights.commands)]
    # Versions of Redis differ in their connection commands, so allow the category.
    rules = [
        *(f"~{name}" for name in (*keys, *queues)),
        "resetchannels",
        *channels,
        "-@all",
        "+@connection",
        "-@dangerous",
    ]
    return " ".join([f"user gaugepost-{part} on >password-of-{part}", *rules, *commands])


def _patterns(names: frozenset[str]) -> Iterator[str]:
    """Yield key patterns for every region, and the bare prefix `gaugepost:{eu}:`, which all scripts name."""
    if names:
        yield _PREFIX
    for name in sorted(names):
        yield _PREFIX + name + ("*" if name.endswith(":") or name in A_LANE_EACH else "")


def _of_regions(pattern: str) -> list[str]:
    return list(dict.fromkeys(named(pattern, Keys(region)) for region in Region))
