"""Faults on demand: what may go wrong between a client and CustomerGauge, before and after the effect.

A fault is a value; a rule is a fault with a match and a count. Scenario words (``scenarios.py``) make the same values,
so there is one place that knows how an answer goes wrong.
"""

import itertools
import random
from dataclasses import asdict, dataclass, field
from typing import Literal

from gaugepost_simulator.checking import SettingError, read
from gaugepost_simulator.knobs import Endpoint, Region

FaultKind = Literal[
    "status",
    "html",
    "broken_json",
    "redirect",
    "slow",
    "trickle",
    "short_body",
    "cut_before_commit",
    "cut_after_commit",
]
REPLACING = frozenset({"status", "html", "broken_json", "redirect"})
CUTTING = frozenset({"cut_before_commit", "cut_after_commit"})
_COMMITTING = frozenset({"slow", "trickle", "cut_after_commit", "short_body"})


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a rule is for; what is left out matches anything. ``contains`` looks into the raw body."""

    region: Region | None = None
    endpoint: Endpoint | None = None
    contains: str | None = None

    def fits(self, region: str, endpoint: str, body: bytes) -> bool:
        """Tell whether a request is meant."""
        return (
            self.region in (None, region)
            and self.endpoint in (None, endpoint)
            and (self.contains is None or self.contains.encode() in body)
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to go wrong.

    ``commit`` says whether the effect is there all the same; left out, it is for what garbles or loses the real answer
    (``slow``, ``trickle``, ``short_body``, ``cut_after_commit``), and is not for what answers in its place.
    """

    fault: FaultKind
    match: Match = field(default_factory=Match)
    code: int | None = field(default=None, metadata={"at_least": 200, "at_most": 599})
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = field(default=5.0, metadata={"at_least": 0})
    location: str | None = None
    times: int | None = field(default=None, metadata={"at_least": 0})
    skip: int = field(default=0, metadata={"at_least": 0})
    probability: float = field(default=1.0, metadata={"at_least": 0, "at_most": 1})
    seed: int = 0
    commit: bool | None = None

    @property
    def commits(self) -> bool:
        """Whether the request has its effect."""
        return self.fault in _COMMITTING if self.commit is None else self.commit

    @property
    def replaces(self) -> bool:
        """Whether something else is answered in place of the endpoint's own reply."""
        return self.fault in REPLACING


def read_fault(data: object) -> Fault:
    """Read a fault from JSON; raises :class:`SettingError`, naming the member that does not fit."""
    fault = read(Fault, data)
    if fault.fault == "redirect" and not fault.location:
        raise SettingError(name="location", problem="is required for a redirect")
    if fault.fault == "status" and fault.code is None:
        raise SettingError(name="code", problem="is required for a status")
    if fault.fault in CUTTING and fault.commit is not None:
        raise SettingError(name="commit", problem=f"is said by {fault.fault} itself")
    return fault


class Rule:
    """A fault that stands in the book, with its counts."""

    def __init__(self, number: int, fault: Fault) -> None:
        self.id = str(number)
        self.fault = fault
        self.hits = 0
        self._passed = 0
        self._random = random.Random(fault.seed)  # noqa: S311 - repeatable tests, not secrets

    def applies(self, region: str, endpoint: str, body: bytes) -> bool:
        """Decide on one request and count it."""
        fault = self.fault
        if (fault.times is not None and self.hits >= fault.times) or not fault.match.fits(region, endpoint, body):
            return False
        if self._passed < fault.skip:
            self._passed += 1
            return False
        if fault.probability < 1 and self._random.random() >= fault.probability:
            return False
        self.hits += 1
        return True

    def to_json(self) -> dict[str, object]:
        """Give the rule with its id and hits."""
        return {"id": self.id, "hits": self.hits, **asdict(self.fault)}


class FaultRules:
    """The rules in the order in which they were written; the first that applies a request applies."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._numbers = itertools.count(1)

    def add(self, fault: Fault) -> str:
        """Write a rule and return its id."""
        rule = Rule(next(self._numbers), fault)
        self._rules[rule.id] = rule
        return rule.id

    def remove(self, rule_id: str | None = None) -> bool:
        """Strike one rule, or all; tells whether there was anything of that id."""
        if rule_id is None:
            self._rules.clear()
            return True
        return self._rules.pop(rule_id, None) is not None

    def pick(self, region: str, endpoint: str, body: bytes) -> Fault | None:
        """Return the fault that this request meets."""
        return next((rule.fault for rule in self._rules.values() if rule.applies(region, endpoint, body)), None)

    def to_json(self) -> list[dict[str, object]]:
        """Give all rules with their hits."""
        return [rule.to_json() for rule in self._rules.values()]
