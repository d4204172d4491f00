"""Faults on demand between a client and CustomerGauge, before or after the effect of a request.

A fault is a value. A rule is a fault with counts. Scenario words (``scenarios.py``) create the same values, so one
place defines how an answer fails.
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
    """Which requests a rule applies to. None matches anything. ``contains`` is a text in the raw body."""

    region: Region | None = None
    endpoint: Endpoint | None = None
    contains: str | None = None

    def fits(self, region: str, endpoint: str, body: bytes) -> bool:
        """Return whether a request matches."""
        return (
            self.region in (None, region)
            and self.endpoint in (None, endpoint)
            and (self.contains is None or self.contains.encode() in body)
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which an exchange fails.

    ``commit``: whether the request takes effect. The default is true for faults that delay or lose the real answer
    (``slow``, ``trickle``, ``short_body``, ``cut_after_commit``), and false for all others.

    ``match``: the requests it applies to. ``skip``: let this many requests pass first. ``times``: apply so often; None
    is without end. ``probability``, ``seed``: apply at random, but repeatably.
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
        """Return whether the request takes effect."""
        return self.fault in _COMMITTING if self.commit is None else self.commit

    @property
    def replaces(self) -> bool:
        """Return whether the fault replaces the endpoint's own reply."""
        return self.fault in REPLACING


def read_fault(data: object) -> Fault:
    """Read a fault from JSON. Raises :class:`SettingError` that names the wrong member."""
    fault = read(Fault, data)
    if fault.fault == "redirect" and not fault.location:
        raise SettingError(name="location", problem="is required for a redirect")
    if fault.fault == "status" and fault.code is None:
        raise SettingError(name="code", problem="is required for a status")
    if fault.fault in CUTTING and fault.commit is not None:
        raise SettingError(name="commit", problem=f"cannot be set for {fault.fault}, which implies it")
    return fault


class Rule:
    """A fault with its id and counts."""

    def __init__(self, number: int, fault: Fault) -> None:
        self.id = str(number)
        self.fault = fault
        self.hits = 0
        self._passed = 0
        self._random = random.Random(fault.seed)  # noqa: S311 - repeatable tests, not secrets

    def applies(self, region: str, endpoint: str, body: bytes) -> bool:
        """Return whether the fault applies to this request. Count the request."""
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
        """Return the rule as plain JSON types, with its id and hits."""
        return {"id": self.id, "hits": self.hits, **asdict(self.fault)}


class FaultRules:
    """The rules in the order of their addition. The first rule that applies to a request wins."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._numbers = itertools.count(1)

    def add(self, fault: Fault) -> str:
        """Add a rule and return its id."""
        rule = Rule(next(self._numbers), fault)
        self._rules[rule.id] = rule
        return rule.id

    def remove(self, rule_id: str | None = None) -> bool:
        """Remove one rule, or all. Return False if there is no rule of this id."""
        if rule_id is None:
            self._rules.clear()
            return True
        return self._rules.pop(rule_id, None) is not None

    def pick(self, region: str, endpoint: str, body: bytes) -> Fault | None:
        """Return the fault that applies to this request, None if there is none."""
        return next((rule.fault for rule in self._rules.values() if rule.applies(region, endpoint, body)), None)

    def to_json(self) -> list[dict[str, object]]:
        """Return all rules with their hits."""
        return [rule.to_json() for rule in self._rules.values()]
