"""Exit codes, texts for people, and the table of commands."""

from __future__ import annotations

import errno
import re
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
import typer
from rich.console import Console

from gaugepost.client import Producer
from gaugepost.errors import (
    BacklogFull,
    InvalidJob,
    JobNotFound,
    Problem,
    SettingsError,
    StoreError,
    StoreFull,
    StoreUnreachable,
)
from gaugepost.jobs import JOBS
from gaugepost.regions import Region
from gaugepost.settings import Settings
from gaugepost.states import ENDED, JobState
from gaugepost_ops.cli.app import COMMANDS, build, load
from gaugepost_ops.cli.common import Exit, Failure, Kind, RegionLedgers, reported_errors
from gaugepost_ops.cli.jobs.jobs import OPEN_FIRST
from gaugepost_ops.cli.operations.status import counts_table, render
from gaugepost_ops.cli.output.formatting import age, clock, counted, printable
from gaugepost_ops.cli.output.state_text import describe_state


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Failure(Exit.USAGE, "no"), 2),
        (SettingsError("GAUGEPOST_X: unknown"), 2),
        (InvalidJob([Problem("kind", "required")]), 2),
        (StoreUnreachable("gone"), 3),
        (StoreFull("full"), 1),
        (StoreError("refused"), 1),
        (BacklogFull("9 jobs are waiting"), 1),
        (JobNotFound("no job x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: int) -> None:
    with pytest.raises(typer.Exit) as ended, reported_errors():
        raise error
    assert ended.value.exit_code == code


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(OSError, match="disk"), reported_errors():
        raise OSError(errno.EIO, "disk")


def test_text_from_outside_cannot_command_the_terminal() -> None:
    hostile = "a\x1b[31mb\nc\x9bd é \u202e\x07\udc80\u2067"
    assert printable(hostile) == r"a\x1b[31mb\nc\x9bd é \u202e\x07\udc80\u2067"
    assert printable("1\u00a0000\u3000円") == "1\u00a0000\u3000円"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0s"), (59.9, "59s"), (60, "1m 0s"), (3_725, "1h 2m"), (90_061, "1d 1h"), (86_400, "1d 0h")],
)
def test_ages_have_two_units(seconds: float | None, text: str) -> None:
    assert age(seconds) == text


def test_a_time_has_its_day_unless_it_is_today() -> None:
    now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    assert clock(now.timestamp() * 1000, now=now) == now.astimezone().strftime("%H:%M:%S")
    assert clock((now.timestamp() + 5 * 86_400) * 1000, now=now) == now.astimezone().strftime("26 Nov %H:%M")
    assert clock(None) == ""


def test_state_is_shown_with_its_cause() -> None:
    assert describe_state("parked", "no_campaign", "no_campaign", "12:00:00") == "parked: no_campaign until 12:00:00"
    throttled = describe_state("parked", "throttled", None, "12:00:00", "CustomerGauge asks to send more slowly")
    assert throttled == "parked: throttled (CustomerGauge asks to send more slowly) until 12:00:00"
    assert describe_state("dead", None, "missing_field", "") == "dead: missing_field"
    assert describe_state("delivered", None, "delivered", "") == "delivered"


def test_the_choices_of_kind_are_the_kinds() -> None:
    assert {str(kind) for kind in Kind} == set(JOBS)


def test_open_jobs_are_listed_first_and_no_state_is_forgotten() -> None:
    assert set(OPEN_FIRST) == set(JobState)
    assert [state in ENDED for state in OPEN_FIRST] == sorted(state in ENDED for state in OPEN_FIRST)


def test_every_command_in_the_table_exists_and_has_help() -> None:
    for name, command in COMMANDS.items():
        module, _, attribute = command.target.partition(":")
        assert getattr(import_module(module), attribute).__doc__, name
        assert load(name).name == name


LISTING = ("upload", "uploads", "job", "jobs", "cancel", "replay", "settle", "holds", "status")


def test_top_level_help_shows_where_to_begin() -> None:
    shown = build().help or ""
    for name in ("demo", "enqueue", "status"):
        assert f"`gaugepost {name} " in shown or f"`gaugepost {name}`" in shown


def test_our_own_commands_show_an_example_and_have_json_where_they_list() -> None:
    for name in COMMANDS:
        assert re.search("Examples?: `gaugepost", load(name).help or ""), name
    for name in LISTING:
        assert any("--json" in parameter.opts for parameter in load(name).params), name


def test_a_region_that_is_not_served_is_a_wrong_call() -> None:
    with pytest.raises(Failure, match="au is not one of GAUGEPOST_REGIONS") as failure:
        RegionLedgers(Producer(Settings.load(regions="eu,us", redis_url="redis://127.0.0.1:1")), Region.AU)
    assert failure.value.code == 2


SUMMARY: dict[str, Any] = {
    "region": "eu",
    **{str(state): 1_000_000 for state in JobState},
    "parked_by_reason": {"unknown_mapping": 900_000, "no_campaign": 100_000},
    "dead_by_verdict": {"wrong_mapping_type": 1_000_000},
    "holds": ["region", "configuration:5350a6b2-ff1c-4f2f-9f1d-2f1b0c9b7a11"],
    "token_expires": "2030-01-01T00:00:00+00:00",
    "next_slot": "2030-01-01T00:00:00+00:00",
    "oldest_queued_s": 5_000.0,
    "workers": 0,
    "beat_age_s": None,
    "missing": [
        {"part": "worker", "reason": "no worker of eu has been seen since 29 Nov 14:05", "command": "gaugepost worker"},
        {"part": "beat", "reason": "no beat has ticked since 29 Nov 14:05", "command": "gaugepost beat"},
    ],
}


def test_three_busy_regions_fit_eighty_columns() -> None:
    console = Console(width=80, record=True, color_system=None)
    console.print(counts_table(dict.fromkeys(Region, SUMMARY)))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("1,000,000") >= 3 * len(JobState)
    assert "01 Jan" in text


@pytest.mark.parametrize("width", [80, 60, 40])
def test_regions_are_below_each_other_on_a_narrow_terminal(width: int) -> None:
    console = Console(width=width, record=True, color_system=None)
    console.print(render(dict.fromkeys(Region, SUMMARY), width))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert text.count("1,000,000") >= 3 * len(JobState), "no number is broken"
    assert "wrong_mapping_type" in text


def test_a_region_that_cannot_be_reached_is_shown_as_such() -> None:
    console = Console(width=80, record=True, color_system=None)
    console.print(counts_table({Region.EU: SUMMARY, Region.US: None}))
    assert "unreachable" in console.export_text()


def test_number_has_its_noun_in_the_right_form() -> None:
    assert [counted(number, "job") for number in (0, 1, 2000)] == ["0 jobs", "1 job", "2,000 jobs"]
    assert [counted(number, "entry", "entries") for number in (1, 2)] == ["1 entry", "2 entries"]
