"""`gaugepost erase` against a real Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Cli, EuWorker

EMAIL = "joe.doe@example.com"


def test_receipt_counts_jobs_and_audit_names_no_address(cli: Cli, eu_worker: EuWorker) -> None:
    dead = eu_worker.put(record={"Email": EMAIL})
    eu_worker.bury()
    queued = eu_worker.put(record={"Email": EMAIL})
    done = cli("erase", "--email", EMAIL, "--yes", "--reason", f"asked by {EMAIL}", "--json")
    [row] = [row for row in done.rows if row["region"] == "eu"]
    counts = {"jobs": 2, "cancelled": 1, "stripped": 1, "sending": 0, "parts": [], "unread": [], "operations": []}
    assert (done.code, row) == (0, {"region": "eu", **counts})
    assert [cli("job", one, "--json").rows[0]["state"] for one in (dead, queued)] == ["dead", "cancelled"]
    assert "  erased  " in cli("job", dead).out
    [row] = cli("job", dead, "--json").rows
    assert row["erased"]
    assert [event["event"] for event in row["timeline"]][-2:] == ["dead", "erased"]
    entries = [entry for entry in cli("audit", "--action", "erase", "--json").rows if entry["region"] == "eu"]
    assert [(entry["target"], entry["count"], entry["outcome"]) for entry in entries] == [("by=email", 2, "done")]
    assert EMAIL not in str(entries)


def test_without_yes_and_without_a_terminal_nothing_is_erased(cli: Cli, eu_worker: EuWorker) -> None:
    job_id = eu_worker.put(record={"Email": EMAIL})
    done = cli("erase", "--email", EMAIL)
    assert done.code == 2
    assert "nothing was erased" in done.err
    assert cli("job", job_id, "--json").rows[0]["state"] == "queued"


def test_malformed_address_is_refused(cli: Cli) -> None:
    assert cli("erase", "--email", "joe", "--yes").code == 2
    assert cli("erase", "--yes").code == 2
