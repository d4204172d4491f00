"""`gaugepost operations`: list, show, pause, resume and abort the operations of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost import JobState, Region
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action

if TYPE_CHECKING:
    from conftest import Cli, EuWorker
    from gaugepost import Producer


def start(eu_worker: EuWorker) -> str:
    """Start an operation that replays three dead jobs."""
    for _ in range(3):
        eu_worker.put()
    eu_worker.bury_all()
    dead = JobFilter(state=JobState.DEAD, fields=("Email",))
    operations = eu_worker.producer.ledger(Region.EU).operations
    return operations.start(Action.REPLAY, dead, by="ann", reason="mended", rate=50).id


def test_operation_is_listed_paused_resumed_and_aborted(cli: Cli, eu_worker: EuWorker) -> None:
    operation = start(eu_worker)
    done = cli("operations")
    first, how, who, why = done.out.splitlines()
    assert (done.code, first) == (0, f"{operation}  eu replay running: 0 jobs found so far, none changed")
    assert (how, why) == ("    state=dead fields=Email rate=50", "    mended")
    assert who.startswith("    started by ann at ")
    assert cli("operations", "--json").rows == cli("operations", "show", operation, "--json").rows
    states = [cli("operations", what, operation, "--json").rows[0]["state"] for what in ("pause", "resume", "abort")]
    assert states == ["paused", "running", "aborted"]
    late = cli("operations", "resume", operation)
    assert (late.code, late.err) == (1, "nothing was changed: it is aborted\n")
    rows = [(row["action"], row["target"], row["count"], row["outcome"]) for row in cli("audit", "--json").rows]
    changes = [(f"operations {what}", operation, 1, "done") for what in ("abort", "resume", "pause")]
    assert rows == [("operations resume", operation, 0, "failed"), *changes]


def test_operation_without_a_worker_names_the_missing_one(cli: Cli, producer: Producer) -> None:
    operation = producer.ledger(Region.EU).operations.start(Action.REPLAY, JobFilter(state=JobState.DEAD), by="ann").id
    assert "gaugepost worker --region eu" in cli("operations", "show", operation).err
    cli("operations", "abort", operation)
    assert cli("operations", "show", operation).err == ""


def test_finished_operation_shows_what_it_did(cli: Cli, eu_worker: EuWorker) -> None:
    operation = start(eu_worker)
    eu_worker.ledger.operations.abort(operation)
    dead = JobFilter(state=JobState.DEAD)
    started = eu_worker.ledger.operations.start(Action.REPLAY, dead, by="ann")
    eu_worker.ledger.operation_runner.run("eu-worker", seconds=60)
    first, how, who = cli("operations", "show", started.id).out.splitlines()
    assert (first, how) == (f"{started.id}  eu replay finished: 3 of 3 done", "    state=dead")
    assert ", ended at " in who


def test_unknown_operation_is_named_with_exit_code_1(cli: Cli) -> None:
    assert cli("operations").err == "no operations\n"
    for command in ("show", "pause", "resume", "abort"):
        done = cli("operations", command, "op-1")
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("op-1: no such operation\n")
