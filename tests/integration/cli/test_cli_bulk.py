"""`replay`, `cancel` and `settle` by filter: the command starts an operation, follows it, and may leave it alone."""

from __future__ import annotations

import re
import signal
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gaugepost import JobState
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action, OperationState
from gaugepost_ops.cli.jobs import bulk_operation
from support.terminal import on_terminal, plain
from support.wait import wait_until

if TYPE_CHECKING:
    from conftest import Cli, EuWorker
    from gaugepost.ledger.operations import Operation

DEAD = ("--state", "dead", "--region", "eu")
NO_WORKER = "no worker of eu has been seen (never); start one: gaugepost worker --region eu"


def bury(eu_worker: EuWorker, number: int) -> list[str]:
    for _ in range(number):
        eu_worker.put()
    return eu_worker.bury_all()


def only_operation(eu_worker: EuWorker) -> Operation:
    [found] = eu_worker.ledger.operations.list()
    return found


def started(eu_worker: EuWorker) -> Operation:
    wait_until(eu_worker.ledger.operations.list)
    return only_operation(eu_worker)


def test_command_without_a_worker_says_so_and_stores_the_operation(cli: Cli, eu_worker: EuWorker) -> None:
    ids = bury(eu_worker, 3)
    eu_worker.ledger.leave("ops")
    done = cli("replay", *DEAD, "--reason", "mended")
    operation = only_operation(eu_worker)
    first, then = done.err.splitlines()
    assert (done.code, done.out, first) == (1, "", NO_WORKER)
    assert then.startswith(f"{operation.id} is stored, and begins when a worker runs: ")
    eu_worker.ledger.operation_runner.run("late", seconds=60)
    assert eu_worker.ledger.operations.show(operation.id).done == 3  # type: ignore[union-attr]
    assert {eu_worker.producer.state(one) for one in ids} == {JobState.QUEUED}


def test_silent_operation_names_all_possible_causes(
    eu_worker: EuWorker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(eu_worker, 1)
    monkeypatch.setattr(bulk_operation, "_SILENT", 0.0)
    row = eu_worker.ledger.operations.start(Action.REPLAY, JobFilter(state=JobState.DEAD), by="ann")
    follower = bulk_operation._Follower(eu_worker.ledger, row)
    follower.read()
    said = capsys.readouterr().err
    assert said.startswith(f"{row.id} has not gone on for 0 seconds: ")
    for cause in ("no worker of this version", "another GAUGEPOST_DATA_KEY", "an earlier operation still collects"):
        assert cause in said


def test_detached_command_prints_the_id_and_returns(cli: Cli, eu_worker: EuWorker) -> None:
    bury(eu_worker, 1)
    with eu_worker.operating():
        done = cli("replay", *DEAD, "--detach")
        assert (done.code, done.err) == (0, "")
        operation = done.out.strip()
        [row] = cli("replay", *DEAD, "--detach", "--json").rows
        wait_until(lambda: cli("operations", "show", row["id"], "--json").rows[0]["state"] == "finished")
    assert cli("operations", "show", operation, "--json").rows[0]["done"] == 1


def test_ctrl_c_leaves_the_operation_running_and_says_how_to_follow_it(cli: Cli, eu_worker: EuWorker) -> None:
    bury(eu_worker, 100)
    with eu_worker.operating():
        with cli.start("replay", *DEAD, "--rate", "10") as process:
            wait_until(lambda: started(eu_worker).done >= 20)  # for a second already: the command follows it
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        operation = only_operation(eu_worker)
        assert (process.returncode, out) == (130, "")
        assert f"{operation.id} goes on without this command: `gaugepost operations show {operation.id}`" in err
        wait_until(lambda: only_operation(eu_worker).state is OperationState.FINISHED)
    assert only_operation(eu_worker).done == 100


def test_json_prints_the_row_of_the_ended_operation(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.hold_all()
    held = eu_worker.put()
    eu_worker.hold_all()
    with eu_worker.operating():
        done = cli("replay", "--state", "parked", "--region", "eu", "--json")
        text = cli("replay", "--state", "parked", "--region", "eu")
    [row] = done.rows
    assert (done.code, row["matched"], row["done"], row["state"]) == (1, 1, 0, "finished")
    assert row["skipped"] == {"a hold stops it: configuration:map": 1}
    assert row == cli("operations", "show", row["id"], "--json").rows[0]
    assert (text.code, text.out) == (1, "0 replayed\n1 not replayed: a hold stops it: configuration:map\n")
    assert eu_worker.producer.state(held) is JobState.PARKED


def test_paused_and_aborted_operations_are_explained(cli: Cli, eu_worker: EuWorker) -> None:
    bury(eu_worker, 20)
    with eu_worker.operating(), cli.start("replay", *DEAD, "--rate", "2") as process:
        operation = started(eu_worker)
        eu_worker.ledger.operations.pause(operation.id)
        assert process.stderr is not None
        assert process.stderr.readline().startswith(f"{operation.id} is paused: `gaugepost operations resume")
        eu_worker.ledger.operations.abort(operation.id)
        out, err = process.communicate(timeout=60)
    done = only_operation(eu_worker).done
    assert (process.returncode, out) == (1, f"{done} replayed\n")
    assert f"{operation.id} was aborted: the other jobs stay as they are" in err
    assert eu_worker.ledger.summary()["dead"] == 20 - done


def test_bar_shows_how_far_the_operation_is(cli: Cli, eu_worker: EuWorker) -> None:
    bury(eu_worker, 1_500)
    with eu_worker.operating():
        code, shown = on_terminal(cli.start, "replay", *DEAD, "--rate", "1000")
    assert code == 0
    assert re.search(r"replaying .*\d+%", plain(shown))
    assert "1,500 replayed" in plain(shown)


def test_changes_reach_all_jobs_of_a_filter_and_show_names_only(cli: Cli, eu_worker: EuWorker) -> None:
    (cli.folder / "mappings.toml").write_text('[crm]\nconfiguration = "right"\nregion = "eu"\n')
    cli.environment["GAUGEPOST_MAPPINGS"] = "mappings.toml"
    ids = bury(eu_worker, 3)
    with eu_worker.operating():
        call = ("replay", *DEAD, "--set", "configuration=crm", "--set", "record.Email=-", "--json")
        done = cli(*call, stdin="joe@new.example\n")
    [row] = done.rows
    assert (done.code, row["done"], row["set"]) == (0, 3, {"edited": ["configuration", "record.Email"]})
    for job_id in ids:
        job = eu_worker.producer.job(job_id).job
        assert (job["configuration"], job["record"]) == ("right", {"Email": "joe@new.example"})
    shown = cli("operations", "show", row["id"]).out + cli("audit", "--json").out
    assert "edited=configuration,record.Email" in shown
    assert "joe" not in shown + done.out


@pytest.mark.usefixtures("operating")
def test_cancel_by_filter_leaves_other_jobs(cli: Cli, eu_worker: EuWorker) -> None:
    mine, other = eu_worker.put(source="crm"), eu_worker.put(source="shop")
    call = ("cancel", "--state", "queued", "--region", "eu", "--source", "crm")
    assert cli(*call, "--dry-run").err == "dry run: 1 would be cancelled\n"
    done = cli(*call, "--reason", "sent by mistake", "--by", "ann")
    assert (done.code, done.out) == (0, "1 cancelled\n")
    assert [eu_worker.producer.state(one) for one in (mine, other)] == [JobState.CANCELLED, JobState.QUEUED]
    assert "ann, sent by mistake" in cli("job", mine).out


@pytest.mark.usefixtures("operating")
def test_cancel_by_label_and_address_shows_no_value(cli: Cli, eu_worker: EuWorker) -> None:
    labelled, joes, other = (
        eu_worker.put(labels=("spring",)),
        eu_worker.put(record={"Email": "joe@new.example"}),
        eu_worker.put(),
    )
    call = ("cancel", "--region", "eu", "--label", "spring")
    assert cli(*call, "--dry-run").err == "dry run: 1 would be cancelled\n"
    assert cli(*call).out == "1 cancelled\n"
    done = cli("cancel", "--region", "eu", "--email", "-", "--json", stdin="joe@new.example\n")
    [row] = done.rows
    assert (row["done"], row["filter"]) == (1, {"by": ["email"]})
    states = [eu_worker.producer.state(one) for one in (labelled, joes, other)]
    assert states == [JobState.CANCELLED, JobState.CANCELLED, JobState.QUEUED]
    assert "joe" not in cli("operations").out + cli("audit", "--json").out
    assert "by=email" in cli("operations").out


@pytest.mark.usefixtures("operating")
def test_since_and_until_bound_the_jobs(cli: Cli, eu_worker: EuWorker) -> None:
    earlier = [eu_worker.producer.job(one).ended_at or 0 for one in bury(eu_worker, 2)]
    wait_until(lambda: time.time() * 1000 > max(earlier) + 1)  # the next one ends in another millisecond
    last = eu_worker.producer.job(bury(eu_worker, 1)[0])
    assert last.ended_at is not None
    at = datetime.fromtimestamp(last.ended_at / 1000, UTC).isoformat()
    assert cli("replay", *DEAD, "--since", at, "--dry-run").err == "dry run: 1 would be replayed\n"
    assert cli("replay", *DEAD, "--until", "1h").out == "0 replayed\n"
    [row] = cli("replay", *DEAD, "--since", at, "--json").rows
    assert (row["done"], row["filter"]["since"][:19]) == (1, at[:19])
    assert eu_worker.producer.state(last.id) is JobState.QUEUED


def test_two_operations_over_one_filter_replay_each_job_once(cli: Cli, eu_worker: EuWorker) -> None:
    ids = bury(eu_worker, 30)
    [first] = cli("replay", *DEAD, "--rate", "10", "--by", "ann", "--detach", "--json").rows
    [second] = cli("replay", *DEAD, "--by", "bob", "--detach", "--json").rows
    with eu_worker.operating():
        wait_until(lambda: all(one.has_ended for one in eu_worker.ledger.operations.list()))
    [second] = [row for row in cli("operations", "--json").rows if row["id"] == second["id"]]
    assert (second["done"], sum(second["skipped"].values())) == (0, second["matched"])
    assert f"operation {first['id']} has it" in second["skipped"]
    for job_id in ids:
        assert [one["by"] for one in eu_worker.producer.timeline(job_id) if one["event"] == "replayed"] == ["ann"]


@pytest.mark.parametrize(
    "call",
    [
        ("cancel",),
        ("cancel", "--state", "queued"),
        ("cancel", "--state", "dead", "--region", "eu"),
        ("cancel", "--key", "k"),
        ("cancel", "0" * 32, "--detach"),
        ("cancel", "0" * 32, "--since", "2h"),
        ("replay", "0" * 32, "--detach"),
        ("settle", "0" * 32, "--as", "dead", "--rate", "5"),
        ("replay", *DEAD, "--since", "yesterday"),
    ],
    ids=" ".join,
)
def test_call_without_a_filter_or_with_two_selections_is_refused(cli: Cli, call: tuple[str, ...]) -> None:
    done = cli(*call)
    assert (done.code, done.out) == (2, "")
