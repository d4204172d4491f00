"""Personal data on the command line: shown only with --show-data, and what happens without the key."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import File, JobState, Producer, Record, Region, Settings
from gaugepost.ledger import JobView
from gaugepost.transitions import Parked, Phase
from gaugepost.verdict import Verdict
from gaugepost_ops.cli.jobs.result_poll import _outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIL, NAME = "joe.doe@example.com", "Joe Doe"
LINK = {"number_customergauge": 7, "survey_link": "https://s.example/long", "survey_link_short": "https://s.example/s"}


@pytest.fixture
def data_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


@pytest.fixture
def sealing(redis_url: str, data_key: str) -> Iterator[Producer]:
    with Producer(Settings.load(redis_url=redis_url, data_key=data_key)) as producer:
        yield producer


def put(producer: Producer, **more: Any) -> str:
    fields = {"region": "eu", "configuration": "map", "record": {"Email": MAIL, "Name": NAME}} | more
    return producer.enqueue(Record.model_validate(fields)).id


def delivered_file(eu_worker: Any, *messages: str) -> str:
    content = base64.b64encode(b"Email\na@b.example\n").decode()
    eu_worker.producer.enqueue(File(region=Region.EU, family="contact", filename="march.csv", content_base64=content))
    result = {
        "total": 3,
        "successful": 1,
        "unsuccessful": 2,
        "messages": list(messages),
        "rejected": [3],
        "upload_id": 9,
    }
    eu_worker.settle(Parked(0, "processing", Phase.PROCESSING), Verdict.DELIVERED)
    eu_worker.ledger.promote()
    return str(eu_worker.deliver(result))


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("command", ["job", "jobs"])
def test_data_is_shown_only_with_show_data(cli: Any, eu_worker: Any, command: str, options: tuple[str, ...]) -> None:
    job_id = put(eu_worker.producer)
    arguments = (command, job_id) if command == "job" else (command,)
    without, shown = cli(*arguments, *options), cli(*arguments, "--show-data", *options)
    assert (without.code, shown.code) == (0, 0), shown.err
    assert MAIL not in without.out
    assert NAME not in without.out
    assert MAIL in shown.out
    assert NAME in shown.out
    if options:
        [row], [more] = without.rows, shown.rows
        assert more == {**row, "data": {"record": {"Email": MAIL, "Name": NAME}}}


def test_the_link_that_was_asked_for_is_a_result_and_stays(cli: Any, eu_worker: Any) -> None:
    put(eu_worker.producer)
    job_id = eu_worker.deliver(LINK)
    [row] = cli("job", job_id, "--json").rows
    assert row["result"] == LINK


def test_row_messages_of_a_file_are_whole_only_with_show_data(cli: Any, eu_worker: Any) -> None:
    messages = ["Record 2: Duplicate Record", f"Record 3: {NAME} is no customer"]
    job_id = delivered_file(eu_worker, *messages)
    [row], [whole] = cli("job", job_id, "--json").rows, cli("job", job_id, "--show-data", "--json").rows
    assert row["result"] == whole["result"] | {"messages": ["Record 2: Duplicate Record", "Record 3: […]"]}
    assert whole["result"]["messages"] == messages
    assert whole["data"] == {"family": "contact", "filename": "march.csv"}
    assert NAME not in cli("job", job_id).out
    assert NAME in cli("job", job_id, "--show-data").out


def test_enqueue_that_waits_prints_no_more_of_a_result_than_the_listings() -> None:
    result = {"total": 1, "messages": [f"Record 2: {NAME}"]}
    view = JobView("id", Region.EU, JobState.DELIVERED, {"kind": "file"}, 1, result=result, sealed="why")
    assert _outcome(view)["result"] == {"total": 1, "messages": ["Record 2: […]"]}
    assert _outcome(view)["sealed"] == "why"


def test_job_without_its_key_is_shown_without_data(cli: Any, sealing: Producer) -> None:
    job_id = put(sealing, source="crm")
    done = cli("job", job_id, "--json", "--show-data")
    why = f"job {job_id} is encrypted, and GAUGEPOST_DATA_KEY is not set here"
    assert (done.code, done.err.strip().splitlines()[-1]) == (1, why)
    [row] = done.rows
    assert (row["state"], row["configuration"], row["data"], row["sealed"]) == ("queued", "map", None, why)
    listed = cli("jobs", "--json")
    assert (listed.code, [row["id"] for row in listed.rows]) == (1, [job_id])
    assert "1 jobs are shown without their data" in listed.err
    assert cli("status").code == 0
    assert cli("cancel", job_id).code == 0


def test_with_the_key_commands_show_encrypted_jobs_as_usual(cli: Any, sealing: Producer, data_key: str) -> None:
    job_id = put(sealing, source="crm")
    cli.environment["GAUGEPOST_DATA_KEY"] = data_key
    [row] = cli("job", job_id, "--show-data", "--json").rows
    assert (row["source"], row["data"]["record"]) == ("crm", {"Email": MAIL, "Name": NAME})
    assert "sealed" not in row
    assert cli("jobs", "--source", "crm", "--json").rows[0]["id"] == job_id


def test_an_upload_without_the_key_is_refused_with_a_reason(cli: Any, data_key: str) -> None:
    (cli.folder / "march.csv").write_text("Email\na@b.example\n")
    cli.environment["GAUGEPOST_DATA_KEY"] = data_key
    sent = cli("upload", "march.csv", "--region", "eu", "--family", "contact", "--json")
    set_id = sent.rows[0]["set"]
    assert cli("job", set_id).code == 0
    cli.environment.clear()
    for command in (("job", set_id), ("uploads", "rejects", set_id), ("cancel", set_id)):
        done = cli(*command)
        assert done.code == 1, command
        assert "is encrypted, and GAUGEPOST_DATA_KEY is not set here" in done.err
        assert "Traceback" not in done.err
    listed = cli("uploads")
    assert (listed.code, "(cannot be read)" in listed.out) == (0, True)


@pytest.mark.parametrize("command", ["jobs", "status"])
def test_a_malformed_key_ends_each_command_with_how_to_make_one(cli: Any, command: str) -> None:
    cli.environment["GAUGEPOST_DATA_KEY"] = "hunter2"
    done = cli(command)
    assert done.code == 2
    assert done.err.startswith("GAUGEPOST_DATA_KEY: expected Fernet keys")
    assert "hunter2" not in done.err


def test_check_reports_encryption_and_missing_keys(cli: Any, sealing: Producer, data_key: str) -> None:
    def found() -> dict[str, Any]:
        return next(row for row in cli("check", "--json").rows if (row["what"], row["region"]) == ("data_key", "eu"))

    assert "not set" in found()["detail"]
    assert found()["ok"]
    put(sealing)
    assert not found()["ok"]
    assert "1 of 1 jobs read are encrypted with another key" in found()["detail"]
    cli.environment["GAUGEPOST_DATA_KEY"] = data_key
    assert found()["ok"]
