"""What operators do with uploads appears in the audit trail."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gaugepost.ledger import Settlement
from gaugepost.transitions import Attempt, Decision, Delivered
from gaugepost.verdict import Verdict
from support.audit_trail import DONE, REFUSED, export, forget, only, trail

if TYPE_CHECKING:
    from conftest import Cli, EuWorker

WHERE = ("--region", "eu", "--family", "transactional")


def uploaded(cli: Cli) -> str:
    """Upload a file by a command that the trail does not show."""
    set_id: str = cli("upload", export(cli), *WHERE, "--json").rows[0]["set"]
    forget(cli)
    return set_id


def test_cancel_of_an_upload_is_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = uploaded(cli)
    assert cli("cancel", set_id).code == 0
    only(cli, **DONE, action="cancel", target=set_id, count=1)


def test_upload_is_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = cli("upload", export(cli, 4_500), *WHERE, "--json").rows[0]["set"]
    only(cli, **DONE, action="upload", target=f"export.csv {set_id}", count=3)


def test_refused_uploads_are_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    uploaded(cli)
    assert cli("upload", "export.csv", *WHERE).code == 2
    (cli.folder / "empty.csv").write_bytes(b"")
    assert cli("upload", "empty.csv", *WHERE).code == 2
    assert [(row["target"], row["region"]) for row in trail(cli)] == [("empty.csv", "eu"), ("export.csv", "eu")]
    assert {(row["outcome"], row["error"], row["count"]) for row in trail(cli)} == {("failed", "usage", 0)}


def test_undo_is_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = uploaded(cli)
    assert cli("uploads", "undo", set_id, "--yes").code == 0
    only(cli, **DONE, action="uploads undo", target=set_id, count=1)


def test_undo_without_an_answer_is_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = uploaded(cli)
    assert cli("uploads", "undo", set_id).code == 2
    only(cli, **REFUSED | {"error": "usage"}, action="uploads undo", target=set_id, region="eu")


def test_rejected_rows_that_were_written_are_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = uploaded(cli)
    result = {"total": 2, "successful": 1, "unsuccessful": 1, "upload_id": 5}
    [claimed] = eu_worker.ledger.claim("eu-worker", os.urandom(4).hex(), 1).jobs
    eu_worker.ledger.mark(claimed)
    details = {"messages": ["Record 2: Duplicate Record"], "rejected": [2]}
    eu_worker.ledger.settle(
        [Settlement(claimed, Decision(Delivered(result | details)), (Attempt(1, 1, 1, 200, Verdict.DELIVERED, ""),))]
    )
    assert cli("uploads", "rejects", set_id).code == 0
    only(cli, **DONE, action="uploads rejects", target=set_id, count=1)


def test_rejected_rows_that_are_not_there_are_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = uploaded(cli)
    assert cli("uploads", "rejects", set_id).code == 1
    only(cli, **REFUSED, action="uploads rejects", target=set_id, region="eu")


def test_data_of_an_upload_is_recorded(cli: Cli, eu_worker: EuWorker) -> None:
    set_id = uploaded(cli)
    assert cli("job", set_id, "--show-data").code == 0
    only(cli, **DONE, action="job", target=set_id, count=1)
