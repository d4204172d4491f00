"""The clocks of a worker, as one value: a test passes its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gaugepost_workers.lease import lease_clock

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Clock:
    """Four functions of time, all in seconds.

    `wall`: Unix time. `monotonic`: for durations. `lease`: runs on while the process is frozen. `sleep`: waits.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    lease: Callable[[], float] = lease_clock
    sleep: Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()
