"""Record which fields the jobs of each configuration have; `gaugepost mappings` compares them with mappings.toml.

Only names are stored. A process reports each field of a configuration once a day; all other calls of enqueue cost a
lookup in memory. If a report fails, its fields are missing for a day.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gaugepost.jobs import PersonalLink, Record
from gaugepost.ledger.scripts import Argument, Call, our_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from gaugepost.keys import Keys
    from gaugepost.ledger.entry import Entry

KEPT_DAYS = 30
MOST_FIELDS, MOST_CONFIGURATIONS = 500, 200
LONGEST_NAME = 200
_MOST_REMEMBERED = 20_000
_DAY_S = 86_400

Seen = dict[str, dict[str, int]]
"""Configuration → field → the last day on which a job had it, in days since 1970."""


class FieldReports:
    """The fields that this process has reported today: a bounded number of names, cleared at midnight UTC."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._day = 0
        self._reported: dict[str, set[str]] = {}
        self._room = 0

    def of(self, entries: Sequence[Entry], today: int | None = None) -> Call[None] | None:
        """Return the call that reports the new fields of these jobs; None if there are none.

        `today`: days since 1970.
        """
        self._begin(int(time.time() // _DAY_S) if today is None else today)
        args: list[Argument] = []
        for configuration, names in self._news(entries).items():
            args += [configuration, len(names), *(name[:LONGEST_NAME] for name in names)]
        if not args:
            return None
        return Call("note_fields", [self._keys.prefix], [KEPT_DAYS, MOST_FIELDS, MOST_CONFIGURATIONS, *args], _nothing)

    def _begin(self, day: int) -> None:
        if day != self._day:
            self._day, self._reported, self._room = day, {}, _MOST_REMEMBERED

    def _news(self, entries: Sequence[Entry]) -> dict[str, list[str]]:
        news: dict[str, list[str]] = {}
        for entry in entries:
            job = entry.job
            if not isinstance(job, Record | PersonalLink):
                continue
            reported = self._reported.get(job.configuration, _NONE)
            if job.record.keys() <= reported:
                continue
            if fresh := self._take(job.configuration, [name for name in job.record if name not in reported]):
                news.setdefault(job.configuration, []).extend(fresh)
        return news

    def _take(self, configuration: str, names: list[str]) -> list[str]:
        """Add new names to the reported ones, as many as fit, and return those."""
        if configuration not in self._reported and len(self._reported) == MOST_CONFIGURATIONS:
            return []
        reported = self._reported.setdefault(configuration, set())
        taken = names[: max(0, min(self._room, MOST_FIELDS - len(reported)))]
        reported.update(taken)
        self._room -= len(taken)
        return taken


_NONE: frozenset[str] = frozenset()


def _nothing(_: object) -> None:
    """Ignore an answer."""


def read_fields(client: redis.Redis, keys: Keys) -> Seen:
    """Return the fields that the jobs of each configuration had in the last KEPT_DAYS days. Raises StoreError."""
    with our_errors():
        names = [name.decode() for name in _asked(client).zrange(keys["configurations"], 0, -1)]
        pipe = client.pipeline(transaction=False)
        for name in names:
            pipe.zrange(keys.of("fields:", name), 0, -1, withscores=True)
        found: list[list[tuple[bytes, float]]] = pipe.execute()
    rows = zip(names, found, strict=True)
    return {name: {field.decode(): int(day) for field, day in fields} for name, fields in rows if fields}


def _asked(client: redis.Redis) -> Any:  # noqa: ANN401 - redis-py has one type for the answers of both clients
    return client
