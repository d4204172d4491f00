"""`batch`, `batches`, `enqueue --canary`, `resume --batch` and `cancel --batch`, against a real Redis."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import Region
from gaugepost.keys import Keys

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli, EuWorker
    from support.stack import RedisServer

KEYS = Keys(Region.EU)
LINE = {"kind": "record", "region": "eu", "configuration": "crm", "record": {"Email": "a@b.example"}}


@pytest.fixture
def jobs_file(tmp_path: Path) -> Path:
    """Write six jobs, two of which are of another region."""
    lines = [LINE] * 4 + [LINE | {"region": "us"}] * 2
    path = tmp_path / "jobs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def stopped(cli: Cli, eu_worker: EuWorker, jobs_file: Path) -> list[dict[str, Any]]:
    """Enqueue a batch whose canary in eu has stopped it; return the rows of enqueue."""
    rows = cli("enqueue", str(jobs_file), "--batch", "b", "--canary", "1").rows
    eu_worker.bury()
    return rows


def test_enqueue_with_canary_says_how_to_follow_it(cli: Cli, jobs_file: Path) -> None:
    done = cli("enqueue", str(jobs_file), "--batch", "b", "--canary", "2", "--tolerance", "10")
    assert (done.code, [row["state"] for row in done.rows]) == (0, ["queued"] * 2 + ["parked"] * 2 + ["queued"] * 2)
    assert "gaugepost batch b --watch" in done.err
    again = cli("enqueue", str(jobs_file), "--batch", "b", "--canary", "3")
    assert again.code == 2
    assert "batch b has begun with a canary of 2 with tolerance 10" in again.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--canary", "2"), "canary: expected together with `batch`"),
        (("--batch", "b c"), "batch: expected 1 to 100 letters"),
        (("--batch", "b", "--tolerance", "5"), "tolerance: expected together with `canary`"),
    ],
)
def test_wrong_options_enqueue_nothing(cli: Cli, jobs_file: Path, options: tuple[str, ...], message: str) -> None:
    done = cli("enqueue", str(jobs_file), *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_batch_shows_counts_over_all_regions(cli: Cli, stopped: list[dict[str, Any]]) -> None:
    [row] = cli("batch", "b", "--json").rows
    assert {name: row[name] for name in ("batch", "total", "states", "verdicts", "warnings")} == {
        "batch": "b",
        "total": 6,
        "states": {"queued": 1, "parked": 4, "dead": 1},
        "verdicts": {"missing_field": 1},
        "warnings": 0,
    }
    assert row["canary"]["state"] == "held"
    assert row["canary"]["reason"].startswith("canary: 1 of 1 not clean: 1 missing_field")
    assert row["regions"]["us"]["canary"]["state"] == "running"
    assert [one["batch"] for one in cli("batches", "--json").rows] == ["b"]
    assert cli("batches").out.startswith("b  6 jobs, 5 left, in eu, us, canary held")


def test_stopped_batch_names_the_next_commands(cli: Cli, stopped: list[dict[str, Any]]) -> None:
    out = cli("batch", "b").out
    assert "gaugepost resume eu --batch b" in out
    assert "gaugepost cancel --batch b --region eu" in out
    shown = cli("job", stopped[1]["id"]).out
    assert "gaugepost cancel --batch b --region eu" in shown
    assert "batch" in shown
    assert "gaugepost resume eu --batch b" in cli("jobs", "--state", "parked", "--group").out
    assert "wait for a canary" in cli("status").out
    [hold] = cli("holds", "--region", "eu", "--json").rows
    assert (hold["batch"], hold["waiting"]) == ("b", 3)


def test_resume_sends_the_rest_of_a_stopped_batch(cli: Cli, stopped: list[dict[str, Any]]) -> None:
    done = cli("resume", "eu", "--batch", "b")
    assert (done.code, done.out) == (0, "eu --batch b: resumed, 3 jobs go on\n")
    assert cli("batch", "b", "--region", "eu", "--json").rows[0]["canary"]["state"] == "resumed"
    assert cli("resume", "eu", "--batch", "b").code == 1


def test_enqueue_refuses_the_canary_of_a_resumed_batch(
    cli: Cli, stopped: list[dict[str, Any]], jobs_file: Path
) -> None:
    cli("resume", "eu", "--batch", "b")
    done = cli("enqueue", str(jobs_file), "--batch", "b", "--canary", "1")
    assert (done.code, done.out) == (2, "")
    assert "its canary was resumed: enqueue more under the name alone (--batch b without --canary)" in done.err
    assert cli("enqueue", str(jobs_file), "--batch", "b").code == 0


def test_cancel_takes_back_all_that_was_not_sent(cli: Cli, stopped: list[dict[str, Any]]) -> None:
    assert cli("cancel", "--batch", "b", "--dry-run").out == "batch b: 5 jobs would be cancelled\n"
    assert cli("cancel", "--batch", "b", "--dry-run", "--json").rows == [{"batch": "b", "would_cancel": 5}]
    done = cli("cancel", "--batch", "b", "--region", "eu", "--json")
    assert {row["id"] for row in done.rows} == {row["id"] for row in stopped[1:4]}
    rest = cli("cancel", "--batch", "b")
    assert (rest.code, rest.out, rest.err) == (0, "", "batch b: 2 jobs cancelled\n")
    [row] = cli("batch", "b", "--json").rows
    assert row["states"] == {"dead": 1, "cancelled": 5}
    assert cli("holds").out == ""
    [eu, *_] = cli("audit", "--action", "cancel", "--region", "eu", "--json").rows
    assert (eu["target"], eu["outcome"]) == ("batch=b", "done")


def test_cancel_fails_when_it_comes_too_late_for_a_job(
    cli: Cli, stopped: list[dict[str, Any]], redis_server: RedisServer
) -> None:
    late = stopped[1]["id"]
    with redis_server.client() as store:
        store.hset(KEYS.of("job:", late), "phase", "processing")  # as a file that was sent
    done = cli("cancel", "--batch", "b", "--region", "eu", "--json")
    assert (done.code, done.err) == (1, "")
    assert sorted(row["id"] for row in done.rows) == sorted(row["id"] for row in stopped[1:4])
    assert [row["id"] for row in done.rows if not row["cancelled"]] == [late]
    again = cli("cancel", "--batch", "b", "--region", "eu")
    assert (again.code, again.out) == (1, f"{late}  not cancelled, too late: it is parked\n")
    assert again.err == "batch b: 0 jobs cancelled\n"
    assert [row["outcome"] for row in cli("audit", "--action", "cancel", "--json").rows] == ["failed", "done"]


def test_cancel_fails_when_jobs_are_left_that_came_meanwhile(
    cli: Cli, stopped: list[dict[str, Any]], redis_server: RedisServer
) -> None:
    with redis_server.client() as store:  # the count of jobs that were stored after the last look
        store.hincrby(KEYS.of("batch:", "b"), "queued", 2)
    done = cli("cancel", "--batch", "b", "--region", "eu")
    assert (done.code, done.out) == (1, "")
    assert "batch b: 2 jobs were not cancelled: enqueued meanwhile. Stop the producer" in done.err


def test_cancel_names_the_options_that_do_not_go_with_a_batch(cli: Cli) -> None:
    for option in (("--limit", "3"), ("--rate", "3"), ("--detach",)):
        done = cli("cancel", "--batch", "b", *option)
        assert (done.code, done.err.splitlines()[0]) == (2, "--limit, --rate and --detach do not go with --batch alone")


def test_jobs_lists_and_find_finds_a_batch(cli: Cli, stopped: list[dict[str, Any]]) -> None:
    ids = {row["id"] for row in stopped}
    assert {row["id"] for row in cli("jobs", "--batch", "b", "--json").rows} == ids
    assert {row["matched"] for row in cli("find", "b", "--json").rows} == {"batch"}
    assert {row["batch"] for row in cli("find", "b", "--json").rows} == {"b"}


def test_unknown_batch_is_exit_code_1(cli: Cli, stopped: list[dict[str, Any]]) -> None:
    for call in (("batch", "x"), ("cancel", "--batch", "x"), ("cancel", "--batch", "x", "--dry-run")):
        done = cli(*call)
        assert (done.code, done.err.splitlines()[0]) == (1, "no batch x")
    assert cli("cancel", "--batch", "b", "--key", "k").code == 2


def test_parts_of_an_upload_are_jobs_of_its_batch(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "contacts.csv").write_text("Email\na@b.example\n")
    call = ("upload", str(tmp_path / "contacts.csv"), "--region", "eu", "--family", "contact")
    assert cli(*call, "--batch", "a b").code == 2
    assert cli(*call, "--batch", "files").code == 0
    assert cli("batch", "files", "--json").rows[0]["states"] == {"waiting": 1}
