"""Faults of workers and beats: kills, freezes, and clocks that jump."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from support.chaos.hosts import Clock, Host
from support.chaos.schedule import Schedule, Weights

_FREEZE_S = (6.0, 11.0)
"""Longer than a lease."""
_CLOCKS = ("+3h", "-5h", "+20s", "-20s", "+0", "+6h x1.1", "-1h x0.9", "+0 x1.1")


@dataclass(frozen=True)
class ProcessFaults:
    """Faults of the processes of these hosts."""

    schedule: Schedule
    workers: Sequence[Host]
    beats: Sequence[Host]

    def weights(self) -> Weights:
        return {self.kill_a_worker: 7, self.kill_a_host: 3, self.freeze_a_worker: 3, self.kill_a_beat: 2}

    def clock_weights(self) -> Weights:
        return {self.jump: 4} if Clock.can_jump() else {}

    def calm(self) -> None:
        """Start all hosts again. Clocks stay wrong: they must not matter."""
        for host in (*self.workers, *self.beats):
            host.start()

    def kill_a_worker(self) -> None:
        dice, totals = self.schedule.dice, self.schedule.totals
        totals["worker kills"] += dice.choice(self.workers).kill_one(dice.randrange(8))

    def kill_a_host(self) -> None:
        """Stop a whole machine for a while. A process that only supervises is not counted."""
        host = self.schedule.dice.choice(self.workers)
        killed = host.kill()
        self.schedule.totals["worker kills"] += killed - 1 if killed > 1 else killed
        self.schedule.soon(host.start, 3)

    def freeze_a_worker(self) -> None:
        dice = self.schedule.dice
        go_on = dice.choice(self.workers).freeze(dice.randrange(8))
        self.schedule.later(dice.uniform(*_FREEZE_S), go_on, at_end=True)
        self.schedule.totals["worker freezes"] += 1

    def kill_a_beat(self) -> None:
        beat = self.schedule.dice.choice(self.beats)
        self.schedule.totals["beat kills"] += beat.kill()
        self.schedule.soon(beat.start, 3)

    def jump(self) -> None:
        """Step the clock of a host, worker's or beat's."""
        dice = self.schedule.dice
        dice.choice([*self.workers, *self.beats]).clock.set(dice.choice(_CLOCKS))
        self.schedule.totals["clock jumps"] += 1
