"""The call that migrates what older versions wrote to the form of this version.

Every tick repeats it, because services may still enqueue by an older version after the workers were upgraded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.ledger.scripts import Call

if TYPE_CHECKING:
    from gaugepost.keys import Keys

_MOVED_AT_ONCE = 1_000


def migrate(keys: Keys) -> Call[int]:
    """Migrate a bounded number of jobs. Return their number; 0 when none is left."""
    return Call("migrate", (keys.prefix, keys.queue, keys.urgent_queue), [_MOVED_AT_ONCE], int)
