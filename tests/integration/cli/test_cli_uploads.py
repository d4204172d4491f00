"""`upload`, `uploads`, and file sets in `job` and `cancel`, on a real Redis. The tests do what a worker would do."""

from __future__ import annotations

import os
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import JobState, Region
from gaugepost.ledger import Settlement
from gaugepost.transitions import Attempt, Check, Decision, Delivered, Parked, Phase
from gaugepost.verdict import Verdict
from support import terminal
from support.files import grid, workbook

if TYPE_CHECKING:
    from conftest import Cli, Done, EuWorker

WHERE = ("--region", "eu", "--family", "transactional")
KEYS = {"set", "part", "of", "id", "filename", "rows", "bytes", "due"}


def export(cli: Cli, rows: int, name: str = "export.csv") -> str:
    lines = "".join(f"person{n}@example.com,{n}\r\n" for n in range(1, rows + 1))
    (cli.folder / name).write_bytes(f"Email,Number\r\n{lines}".encode())
    return name


def uploaded(cli: Cli, rows: int, *more: str, name: str = "export.csv") -> Done:
    done = cli("upload", export(cli, rows, name), *WHERE, "--json", *more)
    assert done.code == 0, done.err
    return done


def send(eu_worker: EuWorker) -> Any:
    """Claim the next file and take its slot, as a worker does, as if the previous slot were over."""
    eu_worker.ledger._client.delete(eu_worker.ledger.keys["slot"])
    [claimed] = eu_worker.ledger.claim("eu-worker", os.urandom(4).hex(), 1).jobs
    assert eu_worker.ledger.mark(claimed)[0] == 1
    return claimed


def settle(
    eu_worker: EuWorker, claimed: Any, transition: Delivered | Parked, verdict: Verdict = Verdict.DELIVERED
) -> str:
    attempt = Attempt(claimed.history.last_n + 1, 1_790_000_000_000, 12, 200, verdict, "")
    assert eu_worker.ledger.settle([Settlement(claimed, Decision(transition), (attempt,))]) == [True]
    return str(claimed.id)


def deliver(
    eu_worker: EuWorker, *rejected: int, upload_id: int | None = 12, rows: int = 2_000, why: str = "Duplicate Record"
) -> str:
    messages = [f"Record {row}: {why}" for row in rejected]
    result = {"total": rows, "successful": rows - len(rejected), "unsuccessful": len(rejected)}
    return settle(
        eu_worker,
        send(eu_worker),
        Delivered(result | {"messages": messages, "rejected": rejected, "upload_id": upload_id}),
    )


def follow(eu_worker: EuWorker) -> str:
    return settle(eu_worker, send(eu_worker), Parked(60_000, "processing", Phase.PROCESSING))


def on_terminal(cli: Cli, *arguments: str, answer: str = "") -> tuple[int, str]:
    code, shown = terminal.on_terminal(cli.start, *arguments, answer=answer)
    return code, terminal.plain(shown)


def minutes(rows: list[dict[str, Any]]) -> list[int]:
    times = [datetime.fromisoformat(row["due"]) for row in rows]
    return [round((time - times[0]).total_seconds() / 60) for time in times]


def test_a_dry_run_says_all_and_stores_nothing(cli: Cli, eu_worker: EuWorker) -> None:
    done = uploaded(cli, 4_500, "--dry-run")
    assert [set(row) for row in done.rows] == [KEYS] * 3
    assert [(row["set"], row["id"], row["part"], row["of"], row["rows"]) for row in done.rows] == [
        (None, None, number, 3, rows) for number, rows in ((1, 2_000), (2, 2_000), (3, 500))
    ]
    assert minutes(done.rows) == [0, 10, 20]
    assert re.fullmatch(r"export\.part-1-of-3\.[0-9a-f]{10}\.csv", done.rows[0]["filename"])
    assert list(eu_worker.ledger._client.scan_iter("*")) == []


def test_upload_queues_and_prints_each_part(cli: Cli, eu_worker: EuWorker) -> None:
    rows = uploaded(cli, 4_500, "--source", "crm").rows
    assert {row["set"] for row in rows} == {rows[0]["set"]}
    assert rows[0]["set"].startswith("set-")
    assert list(eu_worker.ledger.waiting_files()) == [row["id"] for row in rows]
    assert [len(eu_worker.ledger.content(row["id"]) or b"") for row in rows] == [row["bytes"] for row in rows]
    jobs = [eu_worker.producer.job(row["id"]).job for row in rows]
    assert [job["source"] for job in jobs] == ["crm"] * 3
    assert [job["stored"]["name"] for job in jobs] == [row["filename"] for row in rows]


def test_people_get_a_table_and_what_to_do_next(cli: Cli) -> None:
    printed = cli("upload", export(cli, 4_500), *WHERE)
    assert printed.code == 0
    assert re.search(r"^4,500 rows, 1\d\d\.\d kB: 3 parts, set set-\w{32}$", printed.out, re.MULTILINE)
    assert re.search(
        r"^ ?2/3  export\.part-2-of-3\.\w{10}\.csv +2,000 +\S+ kB .* in 10 min$", printed.out, re.MULTILINE
    )
    assert "in 20 min." in printed.out
    assert re.search(r"gaugepost job set-\w{32}\n$", printed.out)
    dry = cli("upload", export(cli, 1), *WHERE, "--dry-run")
    assert "It starts" in dry.out
    assert "nothing was stored" in dry.out


def test_notes_of_the_inspection_go_to_stderr(cli: Cli) -> None:
    (cli.folder / "latin.csv").write_bytes(
        "Name,Email\nAndré Müller,a@example.com\nZoë,b@example.com\n".encode("latin-1")
    )
    done = cli("upload", "latin.csv", *WHERE, "--dry-run", "--json")
    assert (done.code, len(done.rows)) == (0, 1)
    assert done.err.startswith("latin.csv: ")


@pytest.mark.parametrize(
    ("name", "content", "printed"),
    [
        ("empty.csv", b"", "empty.csv: the file is empty\n"),
        ("header.csv", b"Email\n", "header.csv: the file has a header and no row\n"),
        ("export.txt", b"Email\na\n", "export.txt: expected a file name that ends in"),
        ("page.csv", b"<html><body></body></html>", "page.csv: expected the type of its name"),
    ],
)
@pytest.mark.parametrize("flag", [(), ("--dry-run",)])
def test_unfit_file_is_exit_code_2_and_needs_no_redis(
    cli: Cli, name: str, content: bytes, printed: str, flag: tuple[str, ...]
) -> None:
    del cli.settings["GAUGEPOST_REDIS_URL"]
    (cli.folder / name).write_bytes(content)
    done = cli("upload", name, *WHERE, *flag)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(printed)
    assert len(done.err.splitlines()) == 1
    assert not (cli.folder / ".gaugepost").exists()


@pytest.mark.parametrize(
    "call",
    [
        ("upload", "nothing.csv", *WHERE),
        ("upload", "export.csv", "--region", "eu"),
        ("upload", "export.csv", "--region", "eu", "--family", "other"),
        ("upload", "export.csv", "--region", "xx", "--family", "contact"),
        ("upload", "export.csv", *WHERE, "--source", "two words"),
        ("uploads", "undo"),
        ("uploads", "nope"),
        ("uploads", "--json", "rejects", "set-1"),
    ],
)
def test_a_wrong_call_is_exit_code_2(cli: Cli, call: tuple[str, ...]) -> None:
    export(cli, 1)
    done = cli(*call)
    assert (done.code, done.out) == (2, "")
    assert done.err


def test_a_region_that_is_not_served_is_refused(cli: Cli) -> None:
    cli.environment["GAUGEPOST_REGIONS"] = "us"
    done = cli("upload", export(cli, 1), *WHERE)
    assert (done.code, done.out) == (2, "")
    assert "eu is not one of GAUGEPOST_REGIONS (us)" in done.err


@pytest.mark.parametrize("call", [("upload", "export.csv", *WHERE), ("uploads",), ("uploads", "rejects", "set-1")])
def test_unreachable_redis_is_exit_code_3(cli: Cli, call: tuple[str, ...]) -> None:
    cli.environment["GAUGEPOST_REDIS_URL"] = "redis://127.0.0.1:1/0"
    export(cli, 1)
    done = cli(*call)
    assert (done.code, done.out) == (3, "")
    assert "Redis cannot be reached" in done.err


def test_a_full_backlog_is_exit_code_1_and_nothing_is_stored(cli: Cli, eu_worker: EuWorker) -> None:
    cli.environment["GAUGEPOST_BACKLOG_LIMIT"] = "2"
    done = cli("upload", export(cli, 4_500), *WHERE)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("export.csv: nothing was stored: 0 jobs are waiting")
    assert list(eu_worker.ledger._client.scan_iter("*content:*")) == []


def test_same_content_is_refused_in_a_family_without_again(cli: Cli) -> None:
    first = uploaded(cli, 3).rows[0]["set"]
    refused = cli("upload", export(cli, 3, "other-name.csv"), *WHERE)
    assert (refused.code, refused.out) == (2, "")
    assert first in refused.err
    assert "--again" in refused.err
    assert cli("upload", "export.csv", "--region", "eu", "--family", "contact").code == 0
    assert uploaded(cli, 3, "--again").rows[0]["set"] != first


def test_dry_run_reports_an_earlier_upload(cli: Cli) -> None:
    before = uploaded(cli, 3).rows[0]["set"]
    printed = cli("upload", export(cli, 3), *WHERE, "--dry-run")
    assert (printed.code, before in printed.err, "--again" in printed.err) == (2, True, True)
    assert len(uploaded(cli, 3, "--dry-run", "--again").rows) == 1


def test_a_first_file_goes_before_others_and_the_listing_says_so(cli: Cli) -> None:
    slow = uploaded(cli, 4_500).rows
    early = uploaded(cli, 5, "--first", name="early.csv").rows
    again = uploaded(cli, 6, "--first", name="again.csv").rows
    [lane] = cli("uploads", "--region", "eu", "--json").rows
    listed = lane["waiting"]
    assert [one["id"] for one in listed] == [row["id"] for row in early + again + slow]
    assert [one["first"] for one in listed] == [True, True, False, False, False]
    assert minutes(listed) == [0, 10, 20, 30, 40]
    assert minutes([listed[0], *again]) == [0, 10], "it goes behind those that were wanted first before"
    assert re.search(r"early\.\w{10}\.csv +5  first$", cli("uploads").out, re.MULTILINE)


def test_lane_lists_sent_files_with_their_next_check(cli: Cli, eu_worker: EuWorker) -> None:
    rows = uploaded(cli, 6_000).rows
    delivered, followed = deliver(eu_worker), follow(eu_worker)
    lanes = cli("uploads", "--json").rows
    assert [lane["region"] for lane in lanes] == ["eu", "us", "au"]
    lane = lanes[0]
    assert delivered == rows[0]["id"]
    assert [one["id"] for one in lane["waiting"]] == [rows[2]["id"]]
    assert [(one["id"], one["reason"]) for one in lane["processing"]] == [(followed, "processing")]
    assert lane["processing"][0]["next_look"]
    assert minutes([{"due": lane["last_start"]}, {"due": lane["next_slot"]}, *lane["waiting"]]) == [0, 10, 10]
    assert "processing, next look in" in cli("uploads").out


def test_a_held_lane_says_why_and_until_when(cli: Cli, eu_worker: EuWorker) -> None:
    uploaded(cli, 3)
    eu_worker.ledger.hold("", "maintenance", "joe")
    dry = cli("upload", export(cli, 4), *WHERE, "--dry-run", "--json")
    assert [row["due"] for row in dry.rows] == [None]
    lane = cli("uploads", "--region", "eu", "--json").rows[0]
    assert (lane["next_slot"], lane["hold"]) == (None, {"reason": "maintenance", "by": "joe", "until": None})
    assert [one["due"] for one in lane["waiting"]] == [None]
    assert "held: maintenance, until a person resumes it" in cli("uploads").out
    assert "the lane is held" in cli("upload", "export.csv", *WHERE, "--dry-run").out
    eu_worker.ledger.resume("")
    assert cli("uploads", "--region", "eu", "--json").rows[0]["waiting"][0]["due"]


def test_families_have_lanes_of_their_own_if_the_setting_says_so(cli: Cli) -> None:
    cli.environment["GAUGEPOST_UPLOAD_SCOPE"] = "family"
    uploaded(cli, 2_001)
    other = cli("upload", "export.csv", "--region", "eu", "--family", "contact", "--json").rows
    lanes = {lane["lane"]: lane for lane in cli("uploads", "--region", "eu", "--json").rows}
    assert [len(lane["waiting"]) for lane in lanes.values()] == [2, 2, 0, 0]
    assert minutes([lanes["files:transactional"]["waiting"][0], other[0]]) == [0, 0]


def test_a_lane_is_a_picture_that_fits_a_terminal(cli: Cli, eu_worker: EuWorker) -> None:
    uploaded(cli, 24_000)
    deliver(eu_worker)
    follow(eu_worker)
    code, shown = on_terminal(cli, "uploads")
    assert code == 0
    assert re.search(r"^eu  ──● \S+.* sent ──○ .*export\.part-03.* ── \d+ more\r$", shown, re.MULTILINE)
    job, table = on_terminal(cli, "upload", export(cli, 4_001, "x.csv"), *WHERE), on_terminal(cli, "job", _set(cli))
    for text in (shown, job[1], table[1]):
        assert max(map(len, text.splitlines())) <= 80, text


def _set(cli: Cli) -> str:
    return str(cli("uploads", "--region", "eu", "--json").rows[0]["waiting"][0]["set"])


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
    assert re.search(r"part 2  parked: processing until", done.out)
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


def test_rejected_rows_come_back_as_a_file_that_uploads(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = uploaded(cli, 4_500).rows[0]["set"]
    none = cli("uploads", "rejects", set_id)
    assert (none.code, none.out) == (1, "")
    assert "no rejected row" in none.err
    deliver(eu_worker, 17)
    deliver(eu_worker, 2_001, 4_000)
    done = cli("uploads", "rejects", set_id)
    assert done.code == 0
    assert done.out.splitlines() == [
        *("Email,Number", "person17@example.com,17", "person2001@example.com,2001", "person4000@example.com,4000")
    ]
    assert "not all parts have ended" in done.err
    (cli.folder / "rejects.csv").write_text(done.out)
    assert cli("upload", "rejects.csv", *WHERE, "--json").rows[0]["rows"] == 3


def test_rejected_rows_come_with_their_reasons(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = uploaded(cli, 2_500).rows[0]["set"]
    deliver(eu_worker, 17, why='Number "17" is wrong')
    done = cli("uploads", "rejects", set_id, "--with-reasons")
    assert done.out.splitlines() == [
        'Email,Number,"Rejected because"',
        'person17@example.com,17,"Number ""17"" is wrong"',
    ]
    assert "the last column, Rejected because, is not from your file" in done.err


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


def test_rejects_that_are_a_workbook_do_not_go_to_a_terminal(cli: Cli, eu_worker: EuWorker) -> None:
    (cli.folder / "export.xlsx").write_bytes(workbook(["Email"], ["a@example.com"], ["b@example.com"]))
    set_id = cli("upload", "export.xlsx", *WHERE, "--json").rows[0]["set"]
    deliver(eu_worker, 2, rows=2)
    code, shown = on_terminal(cli, "uploads", "rejects", set_id)
    assert code == 2
    assert "> rejects.xlsx" in shown
    with (
        (cli.folder / "rejects.xlsx").open("wb") as target,
        cli.start("uploads", "rejects", set_id, stdout=target) as process,
    ):
        process.communicate()
    assert grid((cli.folder / "rejects.xlsx").read_bytes()) == [["Email"], ["b@example.com"]]


def test_undo_asks_with_counts_and_does_nothing_without_an_answer(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = uploaded(cli, 9_000).rows[0]["set"]
    deliver(eu_worker)
    follow(eu_worker)
    nobody = cli("uploads", "undo", set_id)
    assert (nobody.code, nobody.out) == (2, "")
    for printed in (
        "1 upload with 2,000 rows will be deleted",
        "survey responses",
        "3 parts not yet sent will be cancelled",
        "1 part sent, but the upload id is not known",
        f"Undo it again when CustomerGauge has processed it: gaugepost job {set_id}",
    ):
        assert printed in nobody.err
    code, shown = on_terminal(cli, "uploads", "undo", set_id, answer="n\n")
    assert code == 1
    assert "nothing was undone" in shown
    assert eu_worker.ledger.summary()["waiting"] == 3


def test_undo_cancels_the_rest_and_enqueues_the_deletions_once(cli: Cli, eu_worker: EuWorker) -> None:
    rows = uploaded(cli, 6_000).rows
    deliver(eu_worker, upload_id=12)
    deliver(eu_worker, upload_id=13)
    code, shown = on_terminal(cli, "uploads", "undo", rows[0]["set"], answer="y\n")
    assert code == 0
    assert "cancelled: 1 part" in shown
    [again] = cli("uploads", "undo", rows[0]["set"], "--yes", "--json").rows
    assert (again["set"], again["cancelled"], again["not_known"]) == (rows[0]["set"], 0, [])
    assert [one["upload_id"] for one in again["deletions"]] == [12, 13]
    jobs = [eu_worker.producer.job(job_id) for job_id in eu_worker.ledger.ids(JobState.QUEUED)]
    assert [(job.kind, job.job["upload_id"]) for job in jobs] == [("file_delete", 12), ("file_delete", 13)]
    assert [one["id"] for one in again["deletions"]] == [job.id for job in jobs]
    assert eu_worker.producer.state(rows[2]["id"]) is JobState.CANCELLED


def test_undo_says_what_it_could_not_delete(cli: Cli, eu_worker: EuWorker) -> None:
    rows = uploaded(cli, 4_000).rows
    deliver(eu_worker)
    followed = follow(eu_worker)
    done = cli("uploads", "undo", rows[0]["set"], "--yes", "--json")
    assert done.code == 1
    assert done.rows[0]["not_known"] == [followed]
    assert eu_worker.producer.state(followed) is JobState.PARKED


def test_undo_of_a_set_that_never_went_out_cancels_it(cli: Cli) -> None:
    set_id = uploaded(cli, 2_500).rows[0]["set"]
    done = cli("uploads", "undo", set_id, "--yes", "--json")
    assert (done.code, done.rows) == (0, [{"set": set_id, "cancelled": 2, "deletions": [], "not_known": []}])
    again = cli("uploads", "undo", set_id, "--yes")
    assert (again.code, again.err) == (0, "nothing to undo\n")


def test_regions_are_listed_apart(cli: Cli) -> None:
    uploaded(cli, 1)
    assert [len(lane["waiting"]) for lane in cli("uploads", "--region", str(Region.US), "--json").rows] == [0]
