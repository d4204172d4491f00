"""Effects: one entry for each change that a request made at the simulated CustomerGauge.

Tests prove delivery guarantees by counting effects. So an effect is stored at the moment of its commit and never
removed. ``answered`` records whether the client received the answer.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, get_args

from gaugepost_simulator.knobs import REGIONS

Kind = Literal["record", "personal_link", "close_loop", "response", "file", "file_delete"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(slots=True)
class Effect:
    """One committed effect. ``n`` counts from 1 over all regions; times are Unix time in seconds."""

    n: int
    at: float
    received_at: float
    region: str
    kind: Kind
    idempotency_key: str | None
    configuration: str | None
    body: dict[str, object]
    result: object = None
    answered: bool = False
    gone: bool = False

    def to_json(self) -> dict[str, object]:
        """Return the effect as plain JSON types."""
        return {name: getattr(self, name) for name in self.__slots__}


class Effects:
    """All effects in the order of their commit, with counts by kind and of doubled keys."""

    def __init__(self) -> None:
        self.by: Counter[str] = Counter()
        self.doubled: Counter[str] = Counter()
        self._all: list[Effect] = []
        self._of_key: dict[tuple[str, str], list[Effect]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(
        self,
        region: str,
        kind: Kind,
        *,
        received_at: float,
        key: str | None,
        body: dict[str, object],
        configuration: str | None = None,
    ) -> Effect:
        """Store an effect and count it. ``received_at``: Unix time in seconds. ``key``: the Idempotency-Key."""
        effect = Effect(len(self._all) + 1, time.time(), received_at, region, kind, key, configuration, body)
        self._all.append(effect)
        self.by[f"{region}.{kind}"] += 1
        if key is not None:
            self._count_key(effect, key)
        return effect

    def select(
        self, *, region: str | None = None, kind: str | None = None, key: str | None = None, after: int = 0
    ) -> Iterator[Effect]:
        """Yield the effects with a number above ``after`` that match all filters, oldest first."""
        for effect in self._candidates(key, after):
            if region in (None, effect.region) and kind in (None, effect.kind):
                yield effect

    def _candidates(self, key: str | None, after: int) -> Iterator[Effect]:
        if key is None:
            return islice(self._all, after, None)
        keyed = [e for region in REGIONS for e in self._of_key.get((region, key), ()) if e.n > after]
        return iter(sorted(keyed, key=lambda effect: effect.n))

    def _count_key(self, effect: Effect, key: str) -> None:
        same = self._of_key.setdefault((effect.region, key), [])
        same.append(effect)
        if len(same) == 2:  # noqa: PLR2004 - the second one makes it a double
            self.doubled[effect.region] += 1
