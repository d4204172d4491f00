"""Output fits terminals of 80, 60 and 40 letters. A pipe gets one line for each record. Progress bars."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gaugepost import JobState, PersonalLink, Region
from support.terminal import on_terminal, plain

if TYPE_CHECKING:
    from conftest import Cli, EuWorker

REASON = "their portal is rebuilt over the weekend, and we were asked to wait for it."
MAPPING = "5350a6b2-ff1c-4f2f-9f1d-2f1b0c9b7a11"
WIDTHS = pytest.mark.parametrize("columns", [80, 60, 40])


@pytest.fixture
def busy(cli: Cli, eu_worker: EuWorker) -> dict[str, str]:
    """Make a parked, a dead and a held job, an upload and holds; return the ids."""
    assert len(REASON) == 75
    lines = "".join(f"person{n}@example.com,{n}\r\n" for n in range(5_000))
    (cli.folder / "an export with a long name of its own.csv").write_text(f"Email,Number\r\n{lines}")
    upload = ("upload", "an export with a long name of its own.csv", "--region", "au", "--family", "transactional")
    set_id = cli(*upload, "--json").rows[0]["set"]
    eu_worker.put(configuration=MAPPING)
    ids = {"parked": eu_worker.park()}
    eu_worker.put(configuration=MAPPING)
    ids["dead"] = eu_worker.bury()
    link = PersonalLink(region=Region.EU, configuration=MAPPING, record={"Email": "a@example.com"})
    ids |= {"held": eu_worker.producer.enqueue(link).id, "set": set_id}
    for region, scope in ((Region.EU, ""), (Region.AU, ""), (Region.US, f"configuration:{MAPPING}")):
        eu_worker.producer.ledger(region).hold(scope, REASON, "joe")
    return ids


def run_on_terminal(cli: Cli, columns: int, *call: str, code: int = 0) -> tuple[list[str], str]:
    """Return the lines on a terminal of this width, and all words in one line."""
    ended, shown = on_terminal(cli.start, *call, columns=columns)
    lines = plain(shown).splitlines()
    assert ended == code, shown
    assert max(map(len, lines)) <= columns, shown
    return lines, " ".join(" ".join(lines).split())


@WIDTHS
def test_jobs_keep_id_region_and_state_at_any_width(cli: Cli, busy: dict[str, str], columns: int) -> None:
    lines, words = run_on_terminal(cli, columns, "jobs")
    for state, of in (("parked", "parked"), ("dead", "dead"), ("queued", "held")):
        [at] = [number for number, line in enumerate(lines) if re.match(rf"{busy[of]} +eu\b", line)]
        assert re.search(rf"\b{state}\b", lines[at] if columns >= 60 else lines[at + 1])
    assert f"hold: {REASON}" in words
    assert "missing_field" in words
    assert "…" not in words


@WIDTHS
def test_job_and_upload_lose_no_text_at_any_width(cli: Cli, busy: dict[str, str], columns: int) -> None:
    lines, words = run_on_terminal(cli, columns, "job", busy["held"])
    assert f"queued: hold: {REASON}" in words
    assert [line for line in lines if busy["held"] in line]
    assert [line for line in lines if MAPPING in line]
    _, words = run_on_terminal(cli, columns, "job", busy["dead"])
    assert "1: missing_field, HTTP 200, 12 ms The record.Email field is required." in words
    lines, words = run_on_terminal(cli, columns, "job", busy["set"])
    assert [line for line in lines if busy["set"] in line]
    assert "3: 3 waiting" in words
    assert "0 of 5,000 rows" in words


@WIDTHS
def test_holds_and_status_give_the_whole_reason(cli: Cli, busy: dict[str, str], columns: int) -> None:
    _, words = run_on_terminal(cli, columns, "health", "region", "eu", "--max-age", "0s", code=1)
    assert words.endswith(REASON)
    _, words = run_on_terminal(cli, columns, "holds")
    assert words.count(REASON) == 3
    assert f"gaugepost resume us --configuration {MAPPING}" in words.replace("\\ ", "")
    lines, words = run_on_terminal(cli, columns, "status")
    assert words.count(REASON) == 3
    for region in Region:
        assert [line for line in lines if re.search(rf"^ +(.* )?{region}( |$)", line)]
    for name in ("no_campaign", "missing_field", "oldest queued"):
        assert [line for line in lines if name in line]
    assert "…" not in words


@WIDTHS
def test_lanes_and_their_files_fit(cli: Cli, busy: dict[str, str], columns: int) -> None:
    _, words = run_on_terminal(cli, columns, "uploads")
    assert f"held: {REASON}, until a person resumes it" in words
    assert [part for part in ("1/3", "2/3", "3/3") if part in words] == ["1/3", "2/3", "3/3"]
    file = "an export with a long name of its own.csv"
    _, words = run_on_terminal(cli, columns, "upload", file, "--region", "us", "--family", "contact", "--dry-run")
    assert "5,000 rows" in words
    assert "This was a dry run: nothing was stored." in words


@WIDTHS
def test_the_command_of_a_group_can_be_copied_at_any_width(cli: Cli, busy: dict[str, str], columns: int) -> None:
    lines, words = run_on_terminal(cli, columns, "jobs", "--group")
    assert busy["dead"] in words
    assert MAPPING in words
    text = "\n".join(lines).replace("\\\n", " ")  # as a shell reads it
    rows = cli("jobs", "--group", "--json").rows
    assert len(rows) == 4
    for row in rows:
        assert row["command"] in [" ".join(line.split()) for line in text.splitlines()]


def test_a_pipe_gets_a_line_a_record(cli: Cli, busy: dict[str, str]) -> None:
    lines = cli("jobs").out.splitlines()
    assert len(lines) == 1 + count_jobs(cli)
    assert [line for line in lines if line.startswith(busy["held"]) and line.endswith(f"queued: hold: {REASON}")]
    assert f"eu: {REASON}" in cli("holds").out.splitlines()
    assert f"    gaugepost resume us --configuration {MAPPING}" in cli("holds").out.splitlines()
    assert f"  state                 queued: hold: {REASON}" in cli("job", busy["held"]).out.splitlines()
    assert [line for line in cli("status").out.splitlines() if line.startswith(f"  eu  region: {REASON}; since ")]
    assert f"    held: {REASON}, until a person resumes it" in cli("uploads").out.splitlines()


def count_jobs(cli: Cli) -> int:
    return len(cli("jobs", "--json").rows)


def test_a_link_stays_whole_to_be_copied(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    url = f"https://survey.example.com/{'x' * 100}"
    _, shown = on_terminal(cli.start, "job", eu_worker.deliver({"survey_link": url}), columns=40)
    assert url in plain(shown)


@pytest.mark.parametrize(
    ("call", "title", "state"),
    [(("cancel",), "cancelling", JobState.CANCELLED), (("settle", "--as", "dead"), "settling", None)],
)
def test_many_ids_show_how_far_it_is(
    cli: Cli, eu_worker: EuWorker, call: tuple[str, ...], title: str, state: JobState | None
) -> None:
    jobs = (PersonalLink(region=Region.EU, configuration="m", record={"Email": "a@example.com"}) for _ in range(1_000))
    ids = [receipt.id for receipt in eu_worker.producer.enqueue_many(jobs)]
    with (cli.folder / "rows").open("w") as rows:
        _, shown = on_terminal(cli.start, *call, *ids, stdout=rows)
    assert re.search(rf"{title} .* 100% .*\d:\d\d", plain(shown)), "a percentage and the remaining time"
    assert len((cli.folder / "rows").read_text().splitlines()) == 1_000
    assert title not in plain(on_terminal(cli.start, *call, *ids)[1]), (
        "no bar, because the rows go to the same terminal"
    )
    assert state is None or eu_worker.producer.state(ids[-1]) is state
