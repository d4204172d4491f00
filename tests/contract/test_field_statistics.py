"""Check the field statistics: each process records a field once a day, in bounded number, without delaying jobs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gaugepost import CloseLoop, PersonalLink, Record, Region
from gaugepost.keys import Keys
from gaugepost.ledger import Entry
from gaugepost.ledger.field_statistics import KEPT_DAYS, LONGEST_NAME, MOST_CONFIGURATIONS, MOST_FIELDS, FieldReports
from support.ledger_harness import NOON, Bench

if TYPE_CHECKING:
    import redis

DAY = 86_400_000
TODAY = NOON // DAY
KEYS = Keys(Region.EU)


@pytest.fixture
def noting(client: redis.Redis) -> Bench:
    """Make a bench whose settings name a mappings.toml. Its content does not matter here."""
    return Bench(client, mappings=Path("mappings.toml"))


def record(configuration: str, *names: str) -> Record:
    return Record(region=Region.EU, configuration=configuration, record=dict.fromkeys(names, "x"))


def report(bench: Bench, reports: FieldReports, day: int, *jobs: Record) -> bool:
    """Report new fields; return whether there were any."""
    call = reports.of([Entry.of(job) for job in jobs], day)
    if call is not None:
        bench.ledger._run(call)
    return call is not None


def test_fields_are_recorded_by_configuration_and_day(noting: Bench) -> None:
    link = PersonalLink(region=Region.EU, configuration="b", record={"Phone": "1"})
    case = CloseLoop(region=Region.EU, number_customergauge="1", status="open")
    noting.put(record("a", "Email", "Title"), record("a", "Email", "Näme"), link, case)
    assert noting.ledger.fields_seen() == {
        "a": {"Email": TODAY, "Title": TODAY, "Näme": TODAY},
        "b": {"Phone": TODAY},
    }
    assert noting.truth().faults == []


def test_without_the_setting_nothing_is_noted(bench: Bench) -> None:
    bench.put(record("a", "Email"))
    assert bench.ledger.fields_seen() == {}
    assert not bench.client.exists(KEYS["configurations"])


def test_field_is_recorded_once_a_day(noting: Bench) -> None:
    reports = FieldReports(KEYS)
    reported = [report(noting, reports, day, record("a", "Email", *more)) for day, *more in ([1], [1], [1, "New"], [2])]
    assert reported == [True, False, True, True]


def test_a_refused_enqueue_notes_nothing(client: redis.Redis) -> None:
    bench = Bench(client, mappings=Path("mappings.toml"), backlog_limit=1)
    with pytest.raises(Exception, match="jobs are waiting"):
        bench.put(record("a", "Email"), record("a", "Email"))
    assert bench.ledger.fields_seen() == {}


def test_a_report_that_fails_leaves_the_enqueue_alone(noting: Bench) -> None:
    noting.client.set(KEYS["configurations"], "not a sorted set")
    ids = noting.put(record("a", "Email"))
    assert noting.states(ids) == ["queued"]


def test_fields_go_when_they_have_not_been_sent_for_long(noting: Bench) -> None:
    noting.put(record("a", "Old", "Email"), record("gone", "Old"))
    for _ in range(KEPT_DAYS):
        noting.clock.go(DAY)
        report(noting, FieldReports(KEYS), 1, record("a", "Email"))
    assert noting.ledger.fields_seen() == {"a": {"Email": TODAY + KEPT_DAYS}}


def test_field_statistics_expire(noting: Bench) -> None:
    noting.put(record("a", "Email"))
    lives = [noting.client.ttl(key) for key in (KEYS["configurations"], KEYS.of("fields:", "a"))]
    assert all(0 < life <= KEPT_DAYS * 86_400 for life in lives)  # type: ignore[operator]


def test_process_records_a_bounded_number_of_fields(noting: Bench) -> None:
    names = [f"k{n}" for n in range(2 * MOST_FIELDS)]
    jobs = [record("a", *names[start : start + 100]) for start in range(0, len(names), 100)]
    for job in jobs:
        noting.put(job)
    assert list(noting.ledger.fields_seen()["a"]) == sorted(names[:MOST_FIELDS])


def test_many_processes_leave_a_bounded_number_of_fields_the_latest(noting: Bench) -> None:
    for start in range(0, 2 * MOST_FIELDS, 100):
        noting.clock.go(DAY // 10)
        report(noting, FieldReports(KEYS), 1, record("a", *(f"k{n}" for n in range(start, start + 100))))
    seen = noting.ledger.fields_seen()["a"]
    assert len(seen) == MOST_FIELDS
    assert f"k{2 * MOST_FIELDS - 1}" in seen


def test_configurations_are_bounded_too_in_a_process_and_in_redis(noting: Bench) -> None:
    for batch in pairwise(range(0, 3 * MOST_CONFIGURATIONS, MOST_CONFIGURATIONS // 2)):
        report(noting, FieldReports(KEYS), 1, *(record(f"c{n}", "Email") for n in range(*batch)))
    assert len(noting.ledger.fields_seen()) == MOST_CONFIGURATIONS
    reports = FieldReports(KEYS)
    report(noting, reports, 1, *(record(f"d{n}", "Email") for n in range(MOST_CONFIGURATIONS)))
    assert not report(noting, reports, 1, record("one-more", "Email"))


def test_all_that_a_process_remembers_is_bounded(noting: Bench) -> None:
    reports = FieldReports(KEYS)
    names = [f"k{n}" for n in range(MOST_FIELDS)]
    reported = [report(noting, reports, 1, record(f"c{n}", *names)) for n in range(60)]
    assert reported == [True] * 40 + [False] * 20
    assert report(noting, reports, 2, record("c59", "Email"))


def test_long_names_are_cut(noting: Bench) -> None:
    noting.put(record("a", "x" * 255))
    assert list(noting.ledger.fields_seen()["a"]) == ["x" * LONGEST_NAME]


def test_a_repeated_report_changes_nothing(noting: Bench) -> None:
    report(noting, FieldReports(KEYS), 1, record("a", "Email", "Title"))
    before = noting.ledger.fields_seen()
    report(noting, FieldReports(KEYS), 1, record("a", "Email", "Title"))
    assert noting.ledger.fields_seen() == before
