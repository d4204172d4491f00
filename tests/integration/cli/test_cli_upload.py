"""`gaugepost upload`, on a real Redis."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from support.cli_uploads import WHERE, export, minutes, uploaded

if TYPE_CHECKING:
    from conftest import Cli, EuWorker


KEYS = {"set", "part", "of", "id", "filename", "rows", "bytes", "due"}


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
    assert [len(eu_worker.ledger.file_sets.content(row["id"]) or b"") for row in rows] == [row["bytes"] for row in rows]
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
