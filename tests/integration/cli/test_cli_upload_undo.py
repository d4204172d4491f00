"""`gaugepost uploads rejects` and `uploads undo`, on a real Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost import JobState
from support.cli_uploads import WHERE, deliver, follow, on_terminal, uploaded
from support.files import grid, workbook

if TYPE_CHECKING:
    from conftest import Cli, EuWorker


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
    refused = cli("uploads", "undo", set_id)
    assert (refused.code, refused.out) == (2, "")
    for printed in (
        "1 upload with 2,000 rows will be deleted",
        "survey responses",
        "3 parts not yet sent will be cancelled",
        "1 part sent, but the upload id is not known",
        f"Undo it again when CustomerGauge has processed it: gaugepost job {set_id}",
    ):
        assert printed in refused.err
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
