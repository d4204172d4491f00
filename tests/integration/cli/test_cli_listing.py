"""`job`, `jobs`, `cancel`, `status`, `schema` against a real Redis."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import CloseLoop, JobState, PersonalLink, Region
from support.terminal import on_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Cli, EuWorker
    from support.stack import RedisServer

KEYS = {
    *("id", "kind", "region", "state", "reason", "until", "attempts", "result", "warnings"),
    *("enqueued_at", "ended_at", "idempotency_key", "source"),
}


def link(eu_worker: EuWorker, **more: Any) -> str:
    record = {"Email": "secret@example.com"}
    return eu_worker.producer.enqueue(PersonalLink(region=Region.US, configuration="map", record=record, **more)).id


def test_job_json_has_all_keys(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put(source="crm", idempotency_key="k")
    job_id = eu_worker.park()
    done = cli("job", job_id, "--json")
    [row] = done.rows
    assert done.code == 0
    assert set(row) >= KEYS
    assert (row["state"], row["reason"], row["source"], row["idempotency_key"]) == ("parked", "no_campaign", "crm", "k")
    assert set(row["attempts"][0]) >= {"n", "at", "ms", "status", "verdict", "message"}
    assert row["until"].endswith("+00:00")
    assert row == eu_worker.producer.job(job_id).to_dict()


def test_job_shows_reason_attempts_and_result(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    eu_worker.park()
    printed = cli("job", next(eu_worker.ledger.ids(JobState.PARKED))).out
    assert re.search(r"state +parked: no_campaign until \d\d", printed)
    assert "1: no_campaign, HTTP 200, 12 ms" in printed
    assert "Could not match any campaign filter." in printed
    eu_worker.put()
    url = f"https://survey.example.com/{'x' * 100}"
    assert url in cli("job", eu_worker.deliver({"survey_link": url})).out, "people copy links"


@pytest.mark.parametrize("flag", [(), ("--json",)])
def test_an_unknown_job_is_exit_code_1(cli: Cli, flag: tuple[str, ...]) -> None:
    done = cli("job", "nothing", *flag)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[0] == "no job nothing"
    assert "gaugepost jobs" in done.err.splitlines()[1]


def test_jobs_have_the_same_keys_as_a_job_open_ones_first(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    delivered = eu_worker.deliver()
    eu_worker.put()
    dead = eu_worker.bury()
    eu_worker.put()
    parked = eu_worker.park()
    queued = [eu_worker.put(), link(eu_worker)]
    rows = cli("jobs", "--json").rows
    assert [row["id"] for row in rows] == [*queued, parked, delivered, dead]
    assert [set(row) for row in rows] == [set(eu_worker.producer.job(parked).to_dict())] * 5


def test_every_filter_leaves_what_it_names(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    dead = eu_worker.bury()
    crm, other, us = eu_worker.put(source="crm"), eu_worker.put(configuration="other"), link(eu_worker)

    def listed(*options: str) -> list[str]:
        return [row["id"] for row in cli("jobs", "--json", *options).rows]

    assert listed("--state", "dead") == [dead]
    assert listed("--region", "us") == [us]
    assert listed("--kind", "personal_link") == [us]
    assert listed("--verdict", "missing_field") == [dead]
    assert listed("--configuration", "other") == [other]
    assert listed("--source", "crm", "--state", "queued") == [crm]
    assert listed("--source", "nobody") == []


def test_the_limit_is_fifty_and_can_be_any(cli: Cli, eu_worker: EuWorker) -> None:
    for _ in range(450):
        eu_worker.put()
    short = cli("jobs", "--json")
    assert len(short.rows) == 50
    assert "first 50 jobs" in short.err
    assert "--limit" in short.err
    whole = cli("jobs", "--json", "--limit", "100000000")
    assert len({row["id"] for row in whole.rows}) == 450
    assert whole.err == ""
    assert cli("jobs", "--limit", "0").code == 2


def test_cancelled_jobs_are_not_listed_as_queued(cli: Cli, eu_worker: EuWorker) -> None:
    job_id = eu_worker.put()
    eu_worker.producer.cancel(job_id)
    assert cli("jobs", "--json", "--state", "queued").rows == []
    assert [row["state"] for row in cli("jobs", "--json").rows] == ["cancelled"]


def test_listings_show_no_personal_data(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    change = {"number_customergauge": "1", "status": "open", "note": "secret", "assignee": "secret@example.com"}
    job_id = eu_worker.producer.enqueue(CloseLoop(region=Region.EU, **change)).id
    shown = [cli(*call).out for call in (("jobs",), ("jobs", "--json"), ("job", job_id), ("job", job_id, "--json"))]
    assert all(shown)
    assert not [text for text in shown if "secret" in text]


def test_closed_pipe_of_a_listing_is_no_failure(cli: Cli, eu_worker: EuWorker) -> None:
    for _ in range(400):
        eu_worker.put()
    with cli.start("jobs", "--json", "--limit", "1000") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_cancel_prints_each_job(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    late = eu_worker.deliver()
    eu, us = eu_worker.put(), link(eu_worker)
    done = cli("cancel", eu, late, "nothing", us, "--json")
    assert done.code == 1
    assert done.rows == [
        {"id": eu, "state": "cancelled", "cancelled": True},
        {"id": late, "state": "delivered", "cancelled": False},
        {"id": "nothing", "state": None, "cancelled": False},
        {"id": us, "state": "cancelled", "cancelled": True},
    ]
    assert eu_worker.producer.state(us) is JobState.CANCELLED


def test_cancelling_twice_is_fine(cli: Cli, eu_worker: EuWorker) -> None:
    job_id = eu_worker.put()
    first, again = cli("cancel", job_id), cli("cancel", job_id)
    assert (first.code, first.out) == (0, f"{job_id}  cancelled\n")
    assert (again.code, again.out) == (0, f"{job_id}  was cancelled before\n")


def test_cancel_says_why_not(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    job_id = eu_worker.deliver()
    done = cli("cancel", job_id, "nothing")
    assert (done.code, done.out) == (1, f"{job_id}  not cancelled, too late: it is delivered\nnothing  no such job\n")


@pytest.mark.parametrize(
    ("call", "helps"),
    [
        (("cancel", "nothing"), "gaugepost jobs"),
        (("replay", "nothing"), "gaugepost jobs"),
        (("settle", "nothing", "--as", "dead"), "gaugepost jobs"),
        (("job", "set-x"), "gaugepost jobs --kind file"),
        (("cancel", "set-x"), "gaugepost jobs --kind file"),
        (("uploads", "rejects", "set-x"), "gaugepost jobs --kind file"),
        (("uploads", "undo", "set-x"), "gaugepost jobs --kind file"),
    ],
)
def test_unknown_id_gets_a_command_that_helps(cli: Cli, call: tuple[str, ...], helps: str) -> None:
    done = cli(*call)
    assert done.code == 1
    assert f"`{helps}`" in done.err


def test_status_gives_one_object_a_region(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    eu_worker.put()
    eu_worker.park()
    rows = cli("status", "--json").rows
    assert [row["region"] for row in rows] == ["eu", "us", "au"]
    assert (rows[0]["queued"], rows[0]["parked"], rows[0]["parked_by_reason"]) == (1, 1, {"no_campaign": 1})


def test_status_is_a_table_with_the_reasons(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    eu_worker.bury()
    eu_worker.ledger.hold("", "maintenance", "joe")
    printed = cli("status").out
    assert re.search(r"dead +1 +0 +0", printed)
    assert re.search(r"missing_field +1", printed)
    assert re.search(r"holds +1 +- +-", printed)
    assert re.search(r"\n  eu  region: maintenance; since [\d:]+ by joe\n", printed)


@pytest.fixture
def only_eu(cli: Cli, redis_server: RedisServer, eu_worker: EuWorker) -> Iterator[str]:
    """Give each region its own Redis URL, of which only that of eu works; yield the id of a job in eu."""
    cli.environment["GAUGEPOST_REDIS_URL"] = f"redis://{{region}}:pass@127.0.0.1:{redis_server.port}/0"
    with redis_server.client() as client:
        client.acl_setuser("eu", enabled=True, passwords=["+pass"], keys=["*"], categories=["+@all"])
        yield eu_worker.put()
        client.acl_deluser("eu")


def test_region_with_unreachable_redis_does_not_hide_the_others(cli: Cli, only_eu: str) -> None:
    status = cli("status", "--json")
    assert ([row["region"] for row in status.rows], status.code) == (["eu"], 3)
    assert "not reached: us, au" in status.err
    assert "unreachable" in cli("status").out
    jobs = cli("jobs", "--json")
    assert ([row["id"] for row in jobs.rows], jobs.code) == ([only_eu], 3)
    assert (cli("job", only_eu).code, cli("job", "nothing").code) == (0, 3)
    assert (cli("cancel", only_eu).code, cli("cancel", "nothing").code) == (0, 3)


def test_watching_draws_again_until_ctrl_c(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    code, shown = on_terminal(cli.start, "status", "--watch", until="oldest queued")
    assert code == 0
    assert shown.count("oldest queued") >= 2
    with cli.start("status", "--watch", "--json") as process:
        assert process.stdout is not None
        regions = [json.loads(process.stdout.readline())["region"] for _ in range(6)]
        process.send_signal(signal.SIGINT)
    assert regions == ["eu", "us", "au"] * 2
    assert process.returncode == 0


def test_no_color_means_no_colour(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    eu_worker.bury()
    cli.environment |= {"TERM": "xterm-256color"}
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert coloured.search(on_terminal(cli.start, "jobs")[1])
    cli.environment["NO_COLOR"] = "1"
    assert not coloured.search(on_terminal(cli.start, "jobs")[1] + on_terminal(cli.start, "status")[1])


def test_the_schema_names_every_kind(cli: Cli) -> None:
    schema = json.loads(cli("schema").out)
    assert set(schema["discriminator"]["mapping"]) == {
        *("record", "personal_link", "close_loop", "response", "file", "file_delete")
    }
