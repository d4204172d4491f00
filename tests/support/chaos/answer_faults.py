"""Faults between workers and CustomerGauge: lost requests and answers, bad, unclear and late ones."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from gaugepost_simulator import Simulator
from support.chaos.audit import NO_EFFECT
from support.chaos.load import POISON
from support.chaos.schedule import Schedule, Weights
from support.proxy import Proxy

_UNCLEAR: dict[str, dict[str, Any]] = {
    "500": {"code": 500},
    "503": {"code": 503},
    "408": {"code": 408},
    "520": {"code": 520},
    "page": {"code": 200, "body": "<html><body>Please wait</body></html>"},
    "notice": {"code": 200, "body": 'Notice: Undefined index: id\n{"Data": true}'},
    "null": {"code": 200, "body": "null"},
    "empty": {"code": 200, "body": ""},
}
"""What is answered though the request took effect, and what no one can take for a refusal."""
_SENDING = ("records", "personal_link", "close_loop", "response", "file", "statistics", "token")


def fail_poison(sim: Simulator) -> None:
    """Fail every request of the jobs that the load made to fail."""
    sim.fault("status", code=NO_EFFECT, contains=POISON)


@dataclass(frozen=True)
class AnswerFaults:
    """Faults of the simulator, and of the proxy before it."""

    schedule: Schedule
    sim: Simulator
    to_sim: Proxy

    def weights(self) -> Weights:
        way: Weights = {self.lose_requests: 4, self.lose_answers: 4, self.cut: 0.5}
        answers: Weights = {self.throttle: 2, self.answer_badly: 8, self.answer_unclearly: 4}
        return way | answers | {self.answer_late: 2, self.revoke_tokens: 2}

    def calm(self) -> None:
        self.sim.clear_faults()
        fail_poison(self.sim)
        self.to_sim.calm()

    def lose_requests(self) -> None:
        self.to_sim.lose_requests(self.schedule.dice.randint(1, 3))

    def lose_answers(self) -> None:
        self.to_sim.lose_replies(self.schedule.dice.randint(1, 3))

    def cut(self) -> None:
        self.to_sim.cut()

    def throttle(self) -> None:
        """Answer 429 with a Retry-After in seconds, or as a date by the server's clock."""
        dice = self.schedule.dice
        code = dice.choice([429, 429, 503])
        after = dice.choice(["1", "2", formatdate(time.time() + 2, usegmt=True)])
        self._fault(f"{code} with Retry-After", "status", 2, code=code, headers={"Retry-After": after})

    def answer_badly(self) -> None:
        times = self.schedule.dice.randint(1, 3)
        match self.schedule.dice.randrange(5):
            case 0:
                self._fault("501", "status", times, code=NO_EFFECT)
            case 1:
                self._fault("HTML", "html", times)
            case 2:
                self._fault("broken JSON", "broken_json", times)
            case 3:
                self._fault("short bodies", "short_body", times)
            case _:
                self._fault("504 after the effect", "status", times, code=504, commit=True)

    def answer_unclearly(self) -> None:
        """Let a request take effect, and answer it unclearly."""
        dice = self.schedule.dice
        name = dice.choice(list(_UNCLEAR))
        self._fault("unclear after the effect", "status", dice.randint(1, 3), commit=True, **_UNCLEAR[name])

    def answer_late(self) -> None:
        dice = self.schedule.dice
        self._fault("slow answers", dice.choice(["slow", "trickle"]), 2, seconds=dice.choice([1, 6]))

    def revoke_tokens(self) -> None:
        self.schedule.totals["revoked tokens"] += self.sim.revoke()

    def _fault(self, name: str, fault: str, times: int, **options: Any) -> None:
        self.sim.fault(fault, endpoint=self.schedule.dice.choice(_SENDING), times=times, **options)
        self.schedule.totals[name] += times
