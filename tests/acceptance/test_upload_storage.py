"""Measure the memory that a long queue of files takes in Redis."""

from __future__ import annotations

import random
from collections.abc import Callable

import redis

from gaugepost import File, Region, Settings
from gaugepost.jobs.file import Stored
from gaugepost.ledger import Entry, FileSet, Ledger
from gaugepost.ledger.entry import new_job_id

NAMES = [
    f"{first}{last}" for first in ("Al", "Bern", "Car", "Dan", "Ed", "Fa", "Gil") for last in ("a", "ert", "ina", "o")
]
HEADER = "Email,First Name,Last Name,Account,Date,Amount,Country,Reference,NPS\n"


def some_part(seed: int) -> bytes:
    """Make 2,000 rows of about 120 bytes. A third of each row is random, more than in a usual export."""
    chance = random.Random(seed)

    def name() -> str:
        return chance.choice(NAMES)

    def row() -> str:
        month, day, hour, minute = (chance.randrange(low, high) for low, high in ((1, 13), (1, 29), (0, 24), (0, 60)))
        when = f"2026-{month:02}-{day:02} {hour:02}:{minute:02}:00"
        mail = f"{name()}.{name()}{chance.randrange(10_000)}@{name()}-group.example"
        cells = f"{name()},{name()},{name()} & {name()} Holding Ltd,{when},{chance.randrange(10**7) / 100},NL"
        return f"{mail},{cells},{chance.getrandbits(64):016x},{chance.randrange(11)}\n"

    return (HEADER + "".join(row() for _ in range(2_000))).encode()


def test_500_queued_parts_take_well_under_a_gigabyte_of_redis(
    redis_url: str, record_property: Callable[[str, object], None]
) -> None:
    contents = [some_part(seed) for seed in range(10)]
    entries = []
    with redis.Redis.from_url(redis_url) as client:
        ledger = Ledger(client, Region.EU, Settings())
        before = int(client.info("memory")["used_memory"])
        for n in range(500):
            content = contents[n % 10]
            stored = Stored(sha256="0" * 64, size=len(content), rows=2_000, name=f"export.part-{n + 1:03}-of-500.csv")
            file = File(region=Region.EU, family="transactional", filename="export.csv", stored=stored)
            entries.append(Entry(new_job_id(), file))
            ledger.file_sets.stage(entries[-1].id, content)
        files = FileSet("set-1", "eu", "transactional", "export.csv", "0" * 64, 10**6, tuple(e.id for e in entries))
        assert ledger.file_sets.enqueue(files, entries, again=False, first=False) == "set-1"
        taken = int(client.info("memory")["used_memory"]) - before
    whole = sum(len(contents[n % 10]) for n in range(500))
    record_property("storage", f"{whole / 1e6:.0f} MB of CSV take {taken / 1e6:.1f} MB of Redis")
    assert whole > 110_000_000
    assert taken < 60_000_000
