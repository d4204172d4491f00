"""The call that brings a ledger to what this version reads. Values only; nothing is sent here.

It is repeated with every tick, because services still enqueue by an older version after the workers were upgraded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.ledger.scripts import Call

if TYPE_CHECKING:
    from gaugepost.keys import Keys

_MOVED_AT_ONCE = 1_000


def migrate(keys: Keys) -> Call[int]:
    """Move some of what older versions wrote; gives how many jobs, 0 when all is done."""
    return Call("migrate", (keys.prefix, keys.queue, keys.urgent_queue), [_MOVED_AT_ONCE], int)
