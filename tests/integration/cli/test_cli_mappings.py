"""Check mappings from the command line: a real file, real processes, a real Redis."""

from __future__ import annotations

import asyncio
import json
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gaugepost import AsyncProducer, InvalidJob, Producer, Record, Region, Settings
from gaugepost.mappings import Mappings, read_tables
from gaugepost_ops.cli.operations.mappings import Row, skeleton
from support.stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli, EuWorker

FILE = """
[crm-survey]
configuration = { eu = "5350-eu", us = "5350-us" }
type = "Multi-Object"
fields = ["Email", "Account Name", "Title"]
required = ["Email"]

[accounts]
configuration = "acc-eu"
region = "eu"
type = "Account"
fields = ["Account Name"]
strict = true
"""


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """Give the command line a mappings.toml."""
    cli.write("mappings.toml", FILE)
    cli.settings["GAUGEPOST_MAPPINGS"] = "mappings.toml"
    return cli


@pytest.fixture
def settings(cli: Cli) -> Settings:
    return Settings.load(redis_url=cli.settings["GAUGEPOST_REDIS_URL"], mappings=cli.folder / "mappings.toml")


def record(configuration: str = "crm-survey", region: str = "eu", **fields: Any) -> dict[str, Any]:
    fields = fields or {"Email": "secret@example.com"}
    return {"kind": "record", "region": region, "configuration": configuration, "record": fields}


def today() -> str:
    return datetime.now(UTC).date().isoformat()


# enqueue


def test_an_alias_is_stored_as_the_reference_of_its_region(cli: Cli, producer: Producer) -> None:
    done = cli("enqueue", cli.write("jobs.jsonl", record(region="eu"), record(region="us")))
    assert (done.code, done.err) == (0, "")
    assert [producer.job(row["id"]).job["configuration"] for row in done.rows] == ["5350-eu", "5350-us"]


def test_mapping_warnings_are_on_the_row_and_on_stderr(cli: Cli) -> None:
    done = cli("enqueue", cli.write("jobs.jsonl", record(), record(email="secret@example.com")))
    assert done.code == 0
    message = [
        'record: not mapped by crm-survey, so CustomerGauge drops it: "email" (did you mean "Email"?)',
        'record: required by crm-survey, and missing or empty: "Email"',
    ]
    assert [row.get("warnings") for row in done.rows] == [None, message]
    assert done.err == f"line 2: warning: {message[0]}; {message[1]}\n"


def test_many_warnings_are_counted(cli: Cli) -> None:
    done = cli("enqueue", cli.write("jobs.jsonl", *[record(Email="a@example.com", Nickname="secret")] * 450))
    assert len(done.rows) == 450
    assert len(done.err.splitlines()) == 11
    assert done.err.splitlines()[-1].startswith("440 more lines have warnings")
    assert "secret" not in done.err


def test_a_strict_mapping_refuses_the_line_and_with_it_the_file(cli: Cli, eu_worker: EuWorker) -> None:
    name = cli.write("jobs.jsonl", record(), record("accounts", Account="ACME"))
    done = cli("enqueue", name)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith('line 2: record: not mapped by accounts, so CustomerGauge drops it: "Account"')
    assert eu_worker.ledger.summary()["queued"] == 0
    done = cli("enqueue", name, "--skip-invalid", "rejects.jsonl")
    assert (done.code, len(done.rows)) == (1, 1)
    assert json.loads((cli.folder / "rejects.jsonl").read_text())["configuration"] == "accounts"


def test_a_link_of_a_type_that_makes_none_is_refused(cli: Cli) -> None:
    link = record("accounts", Email="secret@example.com") | {"kind": "personal_link"}
    done = cli("enqueue", cli.write("jobs.jsonl", link))
    assert done.code == 2
    assert "expected a mapping of type Multi-Object or Survey; accounts is of type Account" in done.err


def test_an_alias_of_another_region_is_refused(cli: Cli) -> None:
    done = cli("enqueue", cli.write("jobs.jsonl", record("accounts", region="us")))
    assert done.code == 2
    assert "line 1: configuration: expected a mapping of us; accounts is of eu" in done.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "mappings.toml: cannot be read: No such file"),
        ("[a]\nx = 1", "mappings.toml: [a] configuration: required; [a] x: unknown key"),
    ],
)
def test_a_file_that_is_missing_or_wrong_stops_every_command(content: str | None, message: str, cli: Cli) -> None:
    (cli.folder / "mappings.toml").unlink()
    if content is not None:
        cli.write("mappings.toml", content)
    for command in (["enqueue", cli.write("jobs.jsonl", record())], ["jobs"], ["mappings"]):
        done = cli(*command)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"GAUGEPOST_MAPPINGS: {message}")


def test_check_counts_what_the_file_names_and_refuses_a_wrong_one(cli: Cli) -> None:
    cli.settings["GAUGEPOST_AUTH_URL"] = "http://127.0.0.1:9/{region}"
    found = [row for row in cli("check", "--json").rows if row["what"] == "mappings"]
    assert [row["detail"] for row in found] == [f"{n} named in mappings.toml" for n in (2, 1, 0)]
    cli.write("mappings.toml", "[a]")
    assert cli("check").err.startswith("GAUGEPOST_MAPPINGS: mappings.toml: [a] configuration: required")


def test_a_worker_needs_no_file(tmp_path: Path, settings: Settings) -> None:
    with Stack(tmp_path) as stack, Producer(stack.settings.model_copy(update={"mappings": settings.mappings})) as here:
        stack.worker()
        job = here.enqueue(Record(region=Region.EU, configuration="crm-survey", record={"Email": "a@example.com"}))
        job.result(timeout=60)
        assert [effect["configuration"] for effect in stack.sim.effects(region="eu")] == ["5350-eu"]


# In Python


def test_receipts_have_the_warnings(settings: Settings) -> None:
    job = Record(region=Region.EU, configuration="crm-survey", record={"Email": "a@example.com", "Zzz": "x"})
    message = ('record: not mapped by crm-survey, so CustomerGauge drops it: "Zzz"',)
    with Producer(settings) as producer:
        one, many = (
            producer.enqueue(job),
            list(producer.enqueue_many([job, job.model_copy(update={"region": Region.US})])),
        )
        assert [receipt.warnings for receipt in (one, *many)] == [message] * 3
        assert producer.job(one.id).job["configuration"] == "5350-eu"


def test_receipts_of_the_async_producer_have_them_too(settings: Settings, producer: Producer) -> None:
    job = Record(region=Region.EU, configuration="crm-survey", record={"Email": "a@example.com", "Zzz": "x"})

    async def run() -> list[Any]:
        async with AsyncProducer(settings) as made:
            with pytest.raises(InvalidJob, match="accounts is of eu"):
                await made.enqueue(Record(region=Region.US, configuration="accounts", record={"Account Name": "x"}))
            return [await made.enqueue(job), *[receipt async for receipt in made.enqueue_many([job])]]

    receipts = asyncio.run(run())
    assert [len(receipt.warnings) for receipt in receipts] == [1, 1]
    assert producer.job(receipts[0].id).job["configuration"] == "5350-eu"
    assert set(producer.ledger(Region.EU).fields_seen()) == {"5350-eu"}


# Listings


def test_jobs_are_listed_by_alias(cli: Cli) -> None:
    cli("enqueue", cli.write("jobs.jsonl", record(), record(region="us"), record("other")))
    for name in ("crm-survey", "5350-eu"):
        rows = cli("jobs", "--configuration", name, "--region", "eu", "--json").rows
        assert [(row["alias"], row["configuration"]) for row in rows] == [("crm-survey", "5350-eu")]
    assert {row["region"] for row in cli("jobs", "--configuration", "crm-survey", "--json").rows} == {"eu", "us"}
    assert [row["alias"] for row in cli("jobs", "--configuration", "other", "--json").rows] == [None]
    assert cli("jobs").out.count(" (crm-survey)\n") == 2
    done = cli("jobs", "--configuration", "accounts", "--region", "us")
    assert (done.code, done.err) == (2, "configuration: expected a mapping of us; accounts is of eu\n")


def test_a_job_is_shown_with_its_alias(cli: Cli) -> None:
    job_id = cli("enqueue", cli.write("jobs.jsonl", record())).rows[0]["id"]
    assert cli("job", job_id, "--json").rows[0]["alias"] == "crm-survey"
    assert "crm-survey" in cli("job", job_id).out


def test_a_hold_is_shown_with_its_alias(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.ledger.hold("configuration:5350-eu", "mapping fault", "me")
    assert "configuration:crm" in cli("status").out
    assert cli("status", "--json").rows[0]["holds"] == ["configuration:5350-eu"]


def test_without_the_setting_nothing_is_different(cli: Cli, producer: Producer) -> None:
    del cli.settings["GAUGEPOST_MAPPINGS"]
    done = cli("enqueue", cli.write("jobs.jsonl", record(email="secret@example.com")))
    assert set(done.rows[0]) == {"line", "id", "state", "duplicate"}
    row = cli("job", done.rows[0]["id"], "--json").rows[0]
    assert (row["configuration"], "alias" in row) == ("crm-survey", False)
    assert producer.ledger(Region.EU).fields_seen() == {}
    done = cli("mappings")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("GAUGEPOST_MAPPINGS is not set")


# mappings


def test_mappings_shows_unmapped_and_never_sent_fields(cli: Cli) -> None:
    sent = record(Email="secret@example.com", title="secret", Zzz="secret")
    cli("enqueue", cli.write("jobs.jsonl", sent, record("other", Email="secret@example.com")))
    rows = cli("mappings", "--region", "eu", "--json").rows
    assert [(row["alias"], row["configuration"]) for row in rows] == [
        ("crm-survey", "5350-eu"),
        ("accounts", "acc-eu"),
        (None, "other"),
    ]
    assert rows[0] == {
        "alias": "crm-survey",
        "region": "eu",
        "configuration": "5350-eu",
        "type": "Multi-Object",
        "strict": False,
        "required": ["Email"],
        "sent_not_mapped": ["Zzz", "title"],
        "never_sent": ["Account Name", "Title"],
        "last_sent": today(),
        "sent": dict.fromkeys(["Email", "Zzz", "title"], today()),
    }
    assert (rows[1]["last_sent"], rows[1]["never_sent"]) == (None, ["Account Name"])
    assert (rows[2]["type"], rows[2]["sent"]) == (None, {"Email": today()})
    out = cli("mappings").out
    assert "sent, not mapped    Zzz, title (Title?)" in out
    assert "not in the last 30 days" in out
    assert "secret" not in out


def test_the_lines_of_init_make_the_file_complete(cli: Cli) -> None:
    jobs = [record("one", **{'A "b"': "x", "É": "x"}), record("one", "us", Email="x"), record("two", **{"a\\b": "x"})]
    cli("enqueue", cli.write("jobs.jsonl", *jobs))
    made = cli("mappings", "--init").out
    cli.write("mappings.toml", FILE, made)
    assert tomllib.loads(made)["one"] == {
        "configuration": "one",
        "region": ["eu", "us"],
        "fields": ['A "b"', "Email", "É"],
    }
    assert cli("mappings", "--init").out == ""
    assert [row["alias"] for row in cli("mappings", "--region", "us", "--json").rows] == ["crm-survey", "one"]
    assert cli("enqueue", cli.write("jobs.jsonl", *jobs)).err == ""


def test_init_and_json_do_not_go_together(cli: Cli) -> None:
    assert cli("mappings", "--init", "--json").code == 2


REFERENCES = st.text(min_size=1, max_size=20).filter(lambda text: not any(one.isspace() or one in "[]" for one in text))


@given(reference=REFERENCES, fields=st.sets(st.text(min_size=1, max_size=20), min_size=1))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_fields_are_called_init_writes_a_file_that_can_be_read(
    reference: str, fields: set[str], tmp_path: Path
) -> None:
    path = tmp_path / "mappings.toml"
    path.write_text(skeleton([Row(Region.EU, reference, None, dict.fromkeys(fields, 1))]), encoding="utf-8")
    found = Mappings(read_tables(path))
    assert [(one.alias, set(one.table.fields or ())) for one in found] == [(reference, fields)]
