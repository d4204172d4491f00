"""`gaugepost enqueue` against a real Redis: rows, refusals, exit codes, waiting."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import JobState, Region

if TYPE_CHECKING:
    from conftest import Cli, EuWorker
    from gaugepost import Producer

RECORD: dict[str, Any] = {
    "kind": "record",
    "region": "eu",
    "configuration": "map",
    "record": {"Email": "a@example.com"},
}
BROKEN = '{"kind": "record", "region": "eu", "configuration": "map"}'


def queued(producer: Producer) -> int:
    return sum(int(producer.ledger(region).summary()["queued"]) for region in Region)


def test_each_job_gives_one_line_in_the_order_of_the_input(cli: Cli, producer: Producer) -> None:
    jobs = [RECORD | {"region": region} for region in ("us", "eu", "au", "eu")]
    done = cli("enqueue", cli.write("jobs.jsonl", *jobs[:2], "", *jobs[2:]))
    assert done.code == 0
    assert [row["line"] for row in done.rows] == [1, 2, 4, 5]
    assert [set(row) for row in done.rows] == [{"line", "id", "state", "duplicate"}] * 4
    assert [producer.job(row["id"]).region for row in done.rows] == ["us", "eu", "au", "eu"]
    assert done.err == ""


def test_jobs_come_from_stdin_too_and_stay_in_order(cli: Cli, producer: Producer) -> None:
    lines = "".join(json.dumps(RECORD | {"labels": [str(n)]}) + "\n" for n in range(450))
    done = cli("enqueue", "-", stdin=lines)
    assert [row["line"] for row in done.rows] == list(range(1, 451))
    assert list(producer.ledger(Region.EU).ids(JobState.QUEUED)) == [row["id"] for row in done.rows]


def test_a_repeated_idempotency_key_gives_the_first_job_again(cli: Cli) -> None:
    name = cli.write("jobs.jsonl", RECORD | {"idempotency_key": "k"}, RECORD | {"idempotency_key": "k"})
    first, again = cli("enqueue", name).rows, cli("enqueue", name).rows
    assert [row["duplicate"] for row in first + again] == [False, True, True, True]
    assert len({row["id"] for row in first + again}) == 1


@pytest.mark.parametrize("wait", [(), ("--wait",)], ids=["", "--wait"])
def test_key_used_for_another_job_is_a_conflict_and_exit_code_1(
    cli: Cli, eu_worker: EuWorker, wait: tuple[str, ...]
) -> None:
    other = RECORD | {"record": {"Email": "other@example.com"}}
    first = cli("enqueue", cli.write("jobs.jsonl", RECORD | {"idempotency_key": "k"})).rows[0]["id"]
    eu_worker.deliver()
    done = cli("enqueue", cli.write("more.jsonl", other | {"idempotency_key": "k"}), *wait)
    assert done.code == 1
    assert done.rows == [{"line": 1, "id": first, "state": "delivered", "duplicate": True, "conflict": True}]
    assert done.err == (
        f"line 1: idempotency_key: was used for job {first}, which has another kind or content: nothing was stored\n"
    )
    assert queued(eu_worker.producer) == 0


def test_one_invalid_line_stops_the_whole_file(cli: Cli, producer: Producer) -> None:
    done = cli("enqueue", cli.write("jobs.jsonl", *[RECORD] * 300, BROKEN, "no json"))
    assert (done.code, done.out) == (2, "")
    assert "line 301: record: required\n" in done.err
    assert "line 302: expected one JSON object\n" in done.err
    assert queued(producer) == 0


def test_skip_invalid_keeps_refused_lines_unchanged_and_sends_the_others(cli: Cli, producer: Producer) -> None:
    odd = '  {"kind":"record",\t"region":"eu" , "configuration":"map" }'
    done = cli("enqueue", cli.write("jobs.jsonl", RECORD, BROKEN, "", odd, RECORD), "--skip-invalid", "rejects.jsonl")
    assert done.code == 1
    assert [row["line"] for row in done.rows] == [1, 5]
    assert re.findall(r"^line (\d+): record: required$", done.err, re.MULTILINE) == ["2", "4"]
    assert (cli.folder / "rejects.jsonl").read_text() == f"{BROKEN}\n{odd}\n"
    assert queued(producer) == 2


def test_rejects_file_is_empty_when_nothing_was_refused(cli: Cli) -> None:
    (cli.folder / "rejects").write_text("of an earlier run")
    assert cli("enqueue", cli.write("jobs.jsonl", RECORD), "--skip-invalid", "rejects").code == 0
    assert (cli.folder / "rejects").read_text() == ""


@pytest.mark.parametrize("rejects", ["jobs.jsonl", "./jobs.jsonl", "no/such/folder/rejects", "."])
def test_rejects_that_cannot_be_written_stop_it_before_anything_is_done(
    cli: Cli, producer: Producer, rejects: str
) -> None:
    name = cli.write("jobs.jsonl", RECORD, BROKEN)
    before = (cli.folder / name).read_text()
    assert cli("enqueue", name, "--skip-invalid", rejects).code == 2
    assert (cli.folder / name).read_text() == before
    assert queued(producer) == 0


def test_files_are_read_from_the_current_folder_and_checked_first(cli: Cli, producer: Producer) -> None:
    (cli.folder / "exports").mkdir()
    (cli.folder / "exports" / "contacts.csv").write_text("Email\na@example.com\n")
    (cli.folder / "exports" / "header.csv").write_text("Email\n")
    file = {"kind": "file", "region": "eu", "family": "contact"}
    good = [file | {"path": "exports/contacts.csv"}, file | {"filename": "b.csv", "content_base64": _b64("A\n1\n")}]
    assert cli("enqueue", cli.write("bad.jsonl", *good, file | {"path": "exports/header.csv"})).code == 2
    done = cli("enqueue", cli.write("good.jsonl", *good))
    assert [row["state"] for row in done.rows] == ["waiting", "waiting"]
    assert producer.ledger(Region.EU).file_sets.content(done.rows[0]["id"]) == b"Email\na@example.com\n"


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_region_that_is_not_served_is_refused(cli: Cli) -> None:
    cli.environment["GAUGEPOST_REGIONS"] = "eu,us"
    done = cli("enqueue", cli.write("jobs.jsonl", RECORD | {"region": "au"}))
    assert done.code == 2
    assert "line 1: region: not served here: expected one of GAUGEPOST_REGIONS (eu, us)" in done.err


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_no_job_at_all_is_no_failure(cli: Cli, text: str) -> None:
    done = cli("enqueue", "-", stdin=text)
    assert (done.code, done.out) == (0, "")
    assert "nothing was enqueued" in done.err


def test_full_backlog_reports_how_many_were_accepted(cli: Cli, producer: Producer) -> None:
    cli.environment["GAUGEPOST_BACKLOG_LIMIT"] = "300"
    done = cli("enqueue", cli.write("jobs.jsonl", *[RECORD] * 401))
    assert done.code == 1
    assert len(done.rows) == 200 == queued(producer)
    assert "200 lines were accepted; the rest was not" in done.err
    assert "idempotency_key" in done.err
    assert "200 jobs are waiting" in done.err


def test_rows_of_one_region_are_printed_when_another_refuses(cli: Cli, producer: Producer) -> None:
    cli.environment["GAUGEPOST_BACKLOG_LIMIT"] = "2"
    done = cli("enqueue", cli.write("jobs.jsonl", RECORD, *[RECORD | {"region": "us"}] * 3, RECORD))
    assert done.code == 1
    assert [row["line"] for row in done.rows] == [1, 5]
    assert queued(producer) == 2


def test_unreachable_redis_is_exit_code_3_without_its_password(cli: Cli) -> None:
    cli.environment["GAUGEPOST_REDIS_URL"] = "redis://user:hush@127.0.0.1:1/0"
    done = cli("enqueue", cli.write("jobs.jsonl", RECORD))
    assert (done.code, done.out) == (3, "")
    assert "Redis cannot be reached" in done.err
    assert "127.0.0.1:1/0" in done.err
    assert "nothing was enqueued" in done.err
    assert "hush" not in done.err


def test_invalid_input_needs_no_redis_to_be_refused(cli: Cli) -> None:
    cli.environment["GAUGEPOST_REDIS_URL"] = "redis://127.0.0.1:1/0"
    assert cli("enqueue", cli.write("jobs.jsonl", BROKEN)).code == 2


def test_a_closed_stdout_stops_it_with_a_message(cli: Cli) -> None:
    process = cli.start("enqueue", cli.write("jobs.jsonl", *[RECORD] * 5_000))
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 1
    assert "stdout was closed" in err
    assert re.search(r"[\d,]+ lines were accepted", err)


def test_nothing_of_a_record_is_ever_printed(cli: Cli) -> None:
    secret = RECORD | {"record": {"Email": "secret@example.com", "Phone": "secret"}}
    done = cli("enqueue", cli.write("jobs.jsonl", secret, RECORD | {"record": {"Email": ["secret"]}}))
    assert done.code == 2
    assert "secret" not in done.out + done.err


def test_a_pipe_can_be_given_as_the_file(cli: Cli) -> None:
    done = cli("enqueue", "/dev/stdin", stdin=json.dumps(RECORD))
    assert (done.code, len(done.rows)) == (0, 1)
