"""Upload lanes and folded texts at any width, times and sizes for people."""

from __future__ import annotations

import io
import shlex
import subprocess
from typing import Any, get_args

import pytest
from rich.console import Console

from gaugepost.file_families import Family
from gaugepost.forecast import Lane
from gaugepost.ledger import Hold, JobView
from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost_ops.cli.common import FamilyName
from gaugepost_ops.cli.output.formatting import clock, size, span, wait
from gaugepost_ops.cli.output.text_layout import fold, fold_command
from gaugepost_ops.cli.uploads.lane_view import print_lane
from gaugepost_ops.cli.uploads.lanes import LaneView, WaitingFile
from support.terminal import ESCAPES

NOON = 1_790_000_000_000
INTERVAL = 600_000


def part(number: int, of: int = 50, **more: Any) -> JobView:
    name = f"export.part-{number:02}-of-{of}.0123456789.csv" if of > 1 else "contacts.0123456789.csv"
    content = {"sha256": "0" * 64, "size": 9, "rows": 2_000, "name": name, "part": number, "of": of, "set": "set-1"}
    job = {"kind": "file", "region": "eu", "family": "contact", "stored": content}
    values: dict[str, Any] = {"state": JobState.WAITING, "enqueued_at": NOON} | more
    return JobView(id=f"job{number}", region=Region.EU, job=job, **values)


def lane(*parts: JobView, hold: Hold | None = None, sent: tuple[JobView, ...] = (), **more: Any) -> LaneView:
    held = {"held": hold is not None, "held_until": hold.until if hold else None}
    forecast = Lane(now=NOON, interval=INTERVAL, **(held | more))
    waiting = [WaitingFile(view, due, False) for view, due in zip(parts, forecast.starts(len(parts)), strict=True)]
    return LaneView("eu", "files", forecast, hold, waiting, list(sent))


def at(minutes: int) -> str:
    return clock(NOON + minutes * 60_000, seconds=False)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class AsciiTerminal(Terminal):
    encoding = "ANSI_X3.4-1968"


def printed(view: LaneView, width: int = 80, file: io.StringIO | None = None) -> list[str]:
    out = Console(file=file or Terminal(), width=width, soft_wrap=file is not None)
    print_lane(out, view)
    assert isinstance(out.file, io.StringIO)
    return [ESCAPES.sub("", line) for line in out.file.getvalue().splitlines()]


def test_picture_has_last_start_and_next_files_and_fits() -> None:
    full = lane(*[part(number) for number in range(2, 51)], last_start=NOON)
    assert printed(full, 110)[0].startswith(
        f"eu  49 waiting ──● {at(0)} sent ──○ {at(10)} export.part-02 ──○ {at(20)} export.part-03 "
    )
    for width in (40, 60, 80, 200):
        assert max(map(len, printed(full, width))) <= width
        assert printed(full, width)[0].endswith("…")


def test_picture_shows_the_hold() -> None:
    manual = Hold("", "maintenance", "joe", NOON)
    drawn, slots, *_ = printed(lane(part(1), hold=manual))
    assert drawn == "eu  1 waiting ──✕ held: maintenance, until a person resumes it"
    assert "next slot: not known" in slots
    timed = Hold("", "why", "joe", NOON, until=NOON + 60_000)
    assert f"    held: why, until {clock(NOON + 60_000)}" in printed(lane(part(1), hold=timed), file=io.StringIO())


def test_an_empty_lane_says_that_it_is_free() -> None:
    assert printed(lane())[0] == "eu  ──○ now free"
    assert printed(lane(last_start=NOON))[0] == f"eu  ──● {at(0)} sent ──○ {at(10)} free"


def test_a_terminal_without_unicode_gets_plain_letters() -> None:
    assert printed(lane(last_start=NOON), file=AsciiTerminal())[0].isascii()


def test_sent_files_are_listed_with_their_next_check() -> None:
    followed = part(1, state=JobState.PARKED, reason="processing", until=NOON + 120_000)
    failed = part(2, state=JobState.PARKED, reason="server_error", until=NOON + 5_000)
    _, _, first, second, _ = printed(lane(part(3), sent=(followed, failed)))
    assert first.endswith("processing, next look in 2 min")
    assert second.endswith("parked: server_error, in 5 s")


def test_pipe_gets_whole_names_without_spaces_at_the_end() -> None:
    lines = printed(lane(part(1), part(2, 2)), file=io.StringIO())
    assert lines[0] == "eu"
    assert lines[2:] == [
        f"    {at(0)}  now        1/50  export.part-01-of-50.0123456789.csv  2,000",
        f"    {at(10)}  in 10 min   2/2  export.part-02-of-2.0123456789.csv   2,000",
    ]


def test_long_texts_are_folded_at_spaces_and_links_stay_whole() -> None:
    assert fold("one two  three", 8) == ["one two", "three"]
    assert fold("a 0123456789 b", 4) == ["a", "0123", "4567", "89 b"]
    assert fold("see https://example.com/x now", 10) == ["see", "https://example.com/x", "now"]
    assert fold("\u65e5\u672c\u8a9e", 4) == ["\u65e5\u672c", "\u8a9e"], "wide letters take two columns"
    assert fold("", 4) == [""]


@pytest.mark.starts_process
def test_a_folded_command_is_one_command_to_a_shell() -> None:
    command = "gaugepost replay --field 'record.NPS Score' --state dead --region eu"
    for width in (25, 40, 80):
        folded = fold_command(command, width, indent=2)
        assert max(map(len, folded.splitlines())) <= width
        words = subprocess.run(
            ["sh", "-c", f"printf '%s|' {folded}"], capture_output=True, text=True, check=True
        ).stdout
        assert words.split("|")[:-1] == shlex.split(command)
    assert fold_command(command, None, indent=2) == f"  {command}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (5, "5 s"), (90, "1 min 30 s"), (600, "10 min"), (4_800, "1 h 20 min"), (90_000, "1 d 1 h")],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("ms", "text"), [(-5, "now"), (900, "now"), (65_000, "in 1 min 5 s"), (29_400_400, "in 8 h 10 min")]
)
def test_long_waits_have_no_seconds(ms: int, text: str) -> None:
    assert wait(NOON + ms, NOON) == text


def test_sizes_are_decimal_as_the_limit_is() -> None:
    assert [size(number) for number in (12, 12_300, 2_000_000)] == ["12 B", "12.3 kB", "2.0 MB"]


def test_the_choices_of_family_are_the_families() -> None:
    assert {str(family) for family in FamilyName} == set(get_args(Family))
