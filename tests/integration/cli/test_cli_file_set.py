"""`gaugepost job SET` and `cancel SET`: one upload, its parts and its result, on a real Redis."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from gaugepost import JobState
from gaugepost.ledger import Settlement
from gaugepost.transitions import Check, Decision, Parked, Phase
from support.cli_uploads import deliver, follow, minutes, send, uploaded

if TYPE_CHECKING:
    from conftest import Cli, EuWorker


def test_set_json_shows_the_whole_upload(cli: Cli, eu_worker: EuWorker) -> None:
    rows = uploaded(cli, 9_000).rows
    deliver(eu_worker, 17)
    follow(eu_worker)
    done = cli("job", rows[0]["set"], "--json")
    [printed] = done.rows
    assert done.code == 0
    assert (printed["id"], printed["region"], printed["family"]) == (rows[0]["set"], "eu", "transactional")
    assert (printed["filename"], printed["rows"], printed["rows_delivered"], printed["ended"]) == (
        "export.csv",
        9_000,
        2_000,
        False,
    )
    assert printed["states"] == {"delivered": 1, "parked": 1, "waiting": 3}
    result = printed["result"]
    assert [result[name] for name in ("total", "successful", "unsuccessful")] == [2_000, 1_999, 1]
    assert (result["messages"], result["rejected"]) == (["Record 17: Duplicate Record"], [17])
    assert [(part["part"], part["id"], part["filename"]) for part in printed["parts"]] == [
        (row["part"], row["id"], row["filename"]) for row in rows
    ]
    assert [part["reason"] for part in printed["parts"]] == [None, "processing", "slot", "slot", "slot"]
    assert [bool(part["due"]) for part in printed["parts"]] == [False, False, True, True, True]
    assert printed["parts"][0]["ended_at"]
    assert (printed["next_due"], printed["last_due"]) == (printed["parts"][2]["due"], printed["parts"][4]["due"])
    assert minutes(printed["parts"][2:]) == [0, 10, 20]


def test_set_shows_progress_result_and_forecast(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = uploaded(cli, 9_000).rows[0]["set"]
    deliver(eu_worker, *range(1, 10))
    follow(eu_worker)
    done = cli("job", set_id)
    assert "5: 1 delivered, 1 parked, 3 waiting" in done.out
    assert "2,000 of 9,000 rows" in done.out
    assert "1,991 of 2,000 rows successful, 9 unsuccessful" in done.out
    assert "next part   part 3: " in done.out
    assert re.search(r"last part   part 5: .*, in 30 min", done.out)
    assert re.search(r"part 2  \w{32}  parked: processing until", done.out)
    assert "Record 5: Duplicate Record\n" in done.out
    assert "and 4 more" in done.out
    assert f"gaugepost uploads rejects {set_id} > rejects.csv" in done.err


def test_a_part_shows_its_set_its_forecast_and_its_looks(cli: Cli, eu_worker: EuWorker) -> None:
    rows = uploaded(cli, 4_500).rows
    [second] = cli("job", rows[1]["id"], "--json").rows
    assert (second["set"], second["part"], second["of"], second["rows"]) == (rows[0]["set"], 2, 3, 2_000)
    assert (second["filename"], bool(second["due"])) == (rows[1]["filename"], True)
    printed = cli("job", rows[1]["id"]).out
    assert f"2 of 3 of {rows[0]['set']}" in printed
    assert "starts" in printed
    listed = cli("jobs", "--kind", "file", "--json").rows
    assert [set(row) for row in listed] == [set(second)] * 3
    assert [row["due"] for row in listed][1] is not None


def test_job_shows_checks_of_the_statistics(cli: Cli, eu_worker: EuWorker) -> None:
    job_id = uploaded(cli, 1).rows[0]["id"]
    claimed = send(eu_worker)
    look = Check(at=1_790_000_000_000, status=200, found=True)
    parked = Decision(Parked(60_000, "processing", Phase.PROCESSING))
    assert eu_worker.ledger.settle([Settlement(claimed, parked, check=look)]) == [True]
    assert "statistics: there, not processed yet" in cli("job", job_id).out
    assert [check["found"] for check in cli("job", job_id, "--json").rows[0]["checks"]] == [True]


@pytest.mark.parametrize(
    "call", [("job", "set-1"), ("cancel", "set-1"), ("uploads", "rejects", "set-1"), ("uploads", "undo", "set-1")]
)
def test_an_unknown_set_is_exit_code_1(cli: Cli, call: tuple[str, ...]) -> None:
    assert cli(*call).code == 1


def test_cancelling_a_set_stops_what_was_not_sent_and_nothing_else(cli: Cli, eu_worker: EuWorker) -> None:
    rows = uploaded(cli, 7_000).rows
    deliver(eu_worker)
    followed = follow(eu_worker)
    [printed] = cli("cancel", rows[0]["set"], "--json").rows
    states = {"delivered": 1, "parked": 1, "cancelled": 2}
    assert printed == {"id": rows[0]["set"], "state": None, "cancelled": True, "parts": 2, "states": states}
    assert eu_worker.producer.state(followed) is JobState.PARKED
    again = cli("cancel", rows[0]["set"])
    assert again.code == 1
    assert "too late for 1 delivered, 1 parked" in again.out
    whole = uploaded(cli, 4_001).rows[0]["set"]
    assert cli("cancel", whole).out == f"{whole}  3 parts cancelled\n"
    assert cli("cancel", whole).code == 0, "cancelling twice is fine"


def test_row_messages_are_whole_where_they_name_columns_of_the_file(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = uploaded(cli, 4_500).rows[0]["set"]
    deliver(eu_worker, 17, why="Number must be shorter than 3 digits")
    done = cli("job", set_id)
    assert "Record 17: […]" in done.out, "shorter may be anybody's word"
    assert "--show-data shows it" in done.out
    deliver(eu_worker, 2_001, why="Number must be at most 3 digits")
    done = cli("job", set_id)
    assert "Record 2001: Number must be at most 3 digits" in done.out
    shown = cli("job", set_id, "--show-data")
    assert "Record 17: Number must be shorter than 3 digits" in shown.out
    assert "--show-data" not in shown.out
    messages = cli("job", set_id, "--json").rows[0]["result"]["messages"]
    assert messages == ["Record 17: […]", "Record 2001: Number must be at most 3 digits"]


def test_set_says_that_it_was_undone_and_how_far_the_deletions_are(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = uploaded(cli, 4_500).rows[0]["set"]
    deliver(eu_worker, upload_id=12)
    deliver(eu_worker, upload_id=13)
    assert cli("job", set_id, "--json").rows[0]["undone"] is None
    assert "undone" not in cli("job", set_id).out
    deletions = cli("uploads", "undo", set_id, "--yes", "--json").rows[0]["deletions"]
    eu_worker.ledger._client.delete(eu_worker.ledger.keys["slot"])
    eu_worker.deliver()
    undone = cli("job", set_id, "--json").rows[0]["undone"]
    assert undone["by"].count("@") == 1
    assert datetime.fromisoformat(undone["at"])
    assert undone["deletions"] == [
        deletions[0] | {"state": "delivered"},
        deletions[1] | {"state": "queued"},
    ]
    shown = cli("job", set_id).out
    assert re.search(r"undone +\d\d:\d\d:\d\d by \S+@\S+\n", shown)
    assert f"upload 12: deleted, job {deletions[0]['id']}" in shown
    assert f"upload 13: deletion queued, job {deletions[1]['id']}" in shown
