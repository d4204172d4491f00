"""`find`, and the options of `jobs` that find jobs by a reference or a time, against a real Redis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gaugepost import CloseLoop, JobState, Record, Region

if TYPE_CHECKING:
    from conftest import Cli, EuWorker

JOE = {"Email": "Joe.Doe@example.com", "Phone": "+49 (30) 123-456"}


@pytest.fixture
def joes(eu_worker: EuWorker) -> list[str]:
    """Make two jobs of Joe, of which the first is dead; return their ids."""
    dead = eu_worker.put(record=JOE, labels=("spring",), idempotency_key="order-4711", source="crm")
    eu_worker.bury()
    eu_worker.put(record={"Email": "jane@example.com"}, labels=("spring",))
    return [dead, eu_worker.put(record=JOE)]


def test_find_lists_newest_jobs_first_with_what_matched(cli: Cli, joes: list[str]) -> None:
    done = cli("find", "joe.doe@EXAMPLE.com", "--json")
    assert (done.code, done.err) == (0, "")
    assert [(row["id"], row["matched"]) for row in done.rows] == [(one, "email") for one in joes[::-1]]
    assert "example.com" not in done.out.lower()
    lines = cli("find", "order-4711").out.splitlines()
    assert lines[1].startswith(f"{joes[0]}  eu  record")
    assert lines[1].endswith("dead: missing_field  (key)")


@pytest.mark.parametrize("value", ["order-4711", "+49 30 123456", "spring"])
def test_find_takes_values_of_any_sort_and_ids(cli: Cli, joes: list[str], value: str) -> None:
    assert joes[0] in {row["id"] for row in cli("find", value, "--json").rows}
    assert [row["matched"] for row in cli("find", joes[0][:8], "--json").rows] == ["id"]


def test_find_reads_value_from_stdin(cli: Cli, joes: list[str]) -> None:
    done = cli("find", "-", "--json", "--limit", "1", stdin="joe.doe@example.com\n")
    assert [row["id"] for row in done.rows] == joes[1:]
    assert done.err == "these are the newest 1 jobs; for more use --limit\n"


def test_find_nothing_is_exit_code_1_and_says_what_to_do(cli: Cli, joes: list[str]) -> None:
    done = cli("find", "nobody@example.com")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        "no job has this value",
        "  `gaugepost jobs` lists all jobs by state, kind and more",
    ]
    assert cli("find", joes[0], "--region", "us").code == 1


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (("find", ""), "expected a value to find"),
        (("jobs", "--email", " "), "email: expected an e-mail address"),
        (("jobs", "--case", "A1"), "case: expected a number"),
        (("jobs", "--since", "yesterday"), "--since: expected a time with its offset"),
        (("jobs", "--until", "2026-11-28T10:00"), "--until: expected a time with its offset"),
    ],
)
def test_malformed_values_are_exit_code_2(cli: Cli, call: tuple[str, ...], what: str) -> None:
    done = cli(*call)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(what)


def test_jobs_takes_references_beside_other_filters(cli: Cli, joes: list[str], eu_worker: EuWorker) -> None:
    case = eu_worker.producer.enqueue(CloseLoop(region=Region.US, number_customergauge="53499", status="open")).id

    def ids(*options: str, stdin: str = "") -> list[str]:
        return [row["id"] for row in cli("jobs", "--json", *options, stdin=stdin).rows]

    assert ids("--email", "-", stdin="joe.doe@example.com\n") == joes[::-1]
    assert ids("--email", "joe.doe@example.com", "--state", "dead") == joes[:1]
    assert ids("--phone", "4930 123456", "--label", "spring") == joes[:1]
    assert ids("--key", "order-4711", "--source", "shop") == []
    assert ids("--case", "0053499") == [case]
    assert ids("--case", "53499", "--region", "eu") == []


def test_jobs_of_a_time_are_listed(cli: Cli, joes: list[str]) -> None:
    def states(*options: str) -> list[str]:
        return [row["state"] for row in cli("jobs", "--json", *options).rows]

    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert states("--since", "2h") == ["queued", "queued", "dead"]
    assert states("--since", soon) == states("--until", "1h") == []
    assert states("--until", soon, "--state", "dead") == ["dead"]
    assert states("--label", "spring", "--since", "1m") == ["queued", "dead"]
    assert states("--label", "spring", "--until", "1h") == []


def test_jobs_says_how_many_it_has_looked_at(cli: Cli, eu_worker: EuWorker) -> None:
    jobs = (Record(region=Region.EU, configuration="map", record={"n": n}, source=f"s{n % 2}") for n in range(20_400))
    receipts = eu_worker.producer.enqueue_many(jobs)
    done = cli("jobs", "--source", "s1", "--json", "--limit", "20000")
    assert done.err == "looked at 20,000 of 20,400 jobs; --all goes on\n"
    assert len(done.rows) == 9_800
    done = cli("jobs", "--source", "s1", "--json", "--limit", "20000", "--all")
    assert (done.err, len(done.rows)) == ("", len(receipts) // 2)


def test_find_says_how_many_jobs_are_not_indexed_yet(cli: Cli, joes: list[str], eu_worker: EuWorker) -> None:
    with eu_worker.ledger._client as client:
        client.hincrby("gaugepost:{eu}:indexing", "indexed", -2)
    assert "2 jobs may be missing: workers index them now" in cli("find", "order-4711").err
    assert eu_worker.producer.state(joes[1]) is JobState.QUEUED
