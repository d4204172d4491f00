"""`gaugepost audit`: who did what in all regions, newest first, with filters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import Region
from gaugepost.ledger.audit import AuditEntry

if TYPE_CHECKING:
    from conftest import Cli, EuWorker


def rows(cli: Cli, *options: str) -> list[dict[str, Any]]:
    done = cli("audit", "--json", *options)
    assert done.code == 0, done.err
    return done.rows


ALL = [(n, region) for n in (2, 1, 0) for region in ("us", "eu")]


@pytest.fixture
def entries(eu_worker: EuWorker) -> None:
    """Write entries of two people in two regions."""
    for n in range(3):
        for region, actor in ((Region.EU, "ann@ops1"), (Region.US, "bob@ops2")):
            ledger = eu_worker.producer.ledger(region)
            ledger.audit.write(AuditEntry(actor, "replay" if n else "uploads undo", region, f"job{n} other", n))


@pytest.mark.usefixtures("entries")
def test_entries_of_all_regions_are_listed_newest_first(cli: Cli) -> None:
    listed = rows(cli)
    assert sorted(((row["count"], row["region"]) for row in listed), reverse=True) == ALL
    assert [row["at"] for row in listed] == sorted((row["at"] for row in listed), reverse=True)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--actor", "ann"), [(2, "eu"), (1, "eu"), (0, "eu")]),
        (("--actor", "bob@ops2", "--action", "replay"), [(2, "us"), (1, "us")]),
        (("--action", "uploads undo"), [(0, "us"), (0, "eu")]),
        (("--region", "us", "--limit", "1"), [(2, "us")]),
        (("--job", "job1"), [(1, "us"), (1, "eu")]),
        (("--job", "job"), []),
        (("--since", "1h"), ALL),
        (("--since", "40000d"), ALL),
        (("--until", "1h"), []),
    ],
)
@pytest.mark.usefixtures("entries")
def test_entries_can_be_filtered(cli: Cli, options: tuple[str, ...], expected: list[tuple[int, str]]) -> None:
    assert sorted(((row["count"], row["region"]) for row in rows(cli, *options)), reverse=True) == expected


@pytest.mark.usefixtures("entries")
def test_entries_of_a_time_are_listed(cli: Cli) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert len(rows(cli, "--until", soon)) == 6
    assert rows(cli, "--since", soon) == []


@pytest.mark.usefixtures("entries")
def test_more_entries_than_the_limit_are_named(cli: Cli) -> None:
    done = cli("audit", "--limit", "4")
    assert len(done.out.splitlines()) == 4
    assert done.err == "these are the newest 4 entries; for more use --limit\n"
    assert "ann@ops1  replay eu  2 done  job2 other" in done.out


def test_filter_says_at_how_many_entries_it_looked(cli: Cli, eu_worker: EuWorker) -> None:
    client = eu_worker.ledger._client
    with client.pipeline(transaction=False) as pipe:
        for n in range(20_010):
            fields = AuditEntry("ann" if n else "zoe", "cancel", "eu").fields()
            pipe.xadd("gaugepost:{eu}:audit", {"mark": "m", **fields}, id=f"{1_700_000_000_000 + n}-0")
        pipe.execute()
    done = cli("audit", "--actor", "zoe", "--json")
    assert (done.rows, done.err) == ([], "looked at 20,000 of 20,010; --all goes on\nno entries\n")
    assert [row["actor"] for row in rows(cli, "--actor", "zoe", "--all")] == ["zoe"]


@pytest.mark.parametrize("time", ["yesterday", "2026-11-22", "2026-11-22T10:00"])
def test_wrong_time_is_refused(cli: Cli, time: str) -> None:
    done = cli("audit", "--since", time)
    assert done.code == 2
    assert done.err.startswith("--since: expected a time with its offset")
