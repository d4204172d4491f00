"""`gaugepost hold`, `resume` and `holds`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Cli, EuWorker


HOLD_KEYS = {
    *("region", "configuration", "credentials", "endpoints", "batch"),
    *("reason", "by", "since", "until", "probe_at", "waiting", "workers"),
    *("verdict", "meaning", "to_do", "cause", "failed_probes", "last_failed_probe"),
}


def test_holds_are_opened_listed_and_lifted(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    eu_worker.put()
    until = (datetime.now(UTC) + timedelta(hours=3)).isoformat(timespec="seconds")
    assert cli("hold", "eu", "--reason", "maintenance", "--until", until, "--by", "ann").code == 0
    assert cli("hold", "eu", "--configuration", "map", "--reason", "new mapping", "--until", "2h").code == 0
    assert cli("hold", "us", "--credentials", "api_key", "--reason", "new key").code == 0
    assert cli("hold", "us", "--endpoints", "uploads", "--reason", "import by hand").code == 0
    rows = cli("holds", "--json").rows
    assert [set(row) for row in rows] == [HOLD_KEYS] * 4
    region, mapping, key, uploads = rows
    assert (region["region"], region["configuration"], region["by"], region["waiting"]) == ("eu", None, "ann", 2)
    assert datetime.fromisoformat(region["until"]) == datetime.fromisoformat(until)
    assert (mapping["configuration"], mapping["reason"]) == ("map", "new mapping")
    assert (datetime.fromisoformat(mapping["until"]) - datetime.fromisoformat(mapping["since"])).seconds == 7200
    assert (key["region"], key["credentials"], key["until"]) == ("us", "api_key", None)
    assert (uploads["region"], uploads["endpoints"], uploads["credentials"]) == ("us", "uploads", None)
    printed = cli("holds").out
    assert "gaugepost resume eu --configuration map" in printed
    assert "gaugepost resume us --endpoints uploads" in printed
    assert "gaugepost resume us --credentials api_key" in printed
    assert [row["region"] for row in cli("holds", "--region", "us", "--json").rows] == ["us", "us"]
    shown = cli("status").out
    assert "maintenance" in shown
    assert "new mapping" in " ".join(shown.split())
    for call in (
        ("eu",),
        ("eu", "--configuration", "map"),
        ("us", "--credentials", "api_key"),
        ("us", "--endpoints", "uploads"),
    ):
        assert cli("resume", *call).code == 0
    assert cli("holds", "--json").rows == []
    assert cli("holds").err.startswith("no holds\nno worker of eu ")


def test_resume_without_a_hold_fails_and_names_the_holds(cli: Cli, eu_worker: EuWorker) -> None:
    assert cli("hold", "eu", "--configuration", "map", "--reason", "x").code == 0
    done = cli("resume", "eu")
    assert (done.code, done.out) == (1, "")
    assert done.err == "eu: no hold; the holds of eu are: eu --configuration map\n"


def test_a_hold_that_would_end_in_the_past_is_refused(cli: Cli, eu_worker: EuWorker) -> None:
    done = cli("hold", "eu", "--reason", "x", "--until", "2020-01-01T00:00:00+00:00")
    assert (done.code, done.err) == (2, "--until: expected a time in the future\n")
    assert cli("hold", "xx", "--reason", "x").code == cli("hold", "eu").code == 2
    assert eu_worker.ledger.holds() == {}


def test_every_job_that_waits_for_a_hold_says_why_and_until_when(cli: Cli, eu_worker: EuWorker) -> None:
    queued = eu_worker.put()
    cli("hold", "eu", "--configuration", "map", "--reason", "new mapping", "--until", "2h")
    [row] = cli("jobs", "--json").rows
    assert (row["id"], row["reason"]) == (queued, "hold: new mapping")
    assert row["until"] is not None
    assert "queued: hold: new mapping until" in cli("jobs").out


def test_a_persons_hold_names_the_automatic_one_it_replaces(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    eu_worker.hold_all()
    done = cli("hold", "eu", "--configuration", "map", "--reason", "we know")
    assert "it replaces the hold by gaugepost: unknown_mapping" in done.err
    done = cli("resume", "eu", "--configuration", "map")
    assert (done.code, done.out) == (0, "eu --configuration map: resumed, 1 job goes on\n")
