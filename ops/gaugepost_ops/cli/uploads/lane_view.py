"""Print an upload lane: on terminals one line as a picture; below it the slots, the hold and the files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gaugepost.ledger.explanations import meaning
from gaugepost_ops.cli.output.formatting import clock, printable, span, wait
from gaugepost_ops.cli.output.text_layout import print_hanging, print_table, terminal_width
from gaugepost_ops.cli.uploads.lanes import part_label, sent_state, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from gaugepost.ledger import Hold, JobView
    from gaugepost_ops.cli.uploads.lanes import LaneView, WaitingFile

_INDENT = 4
_DRAWN_FILES = 20
_MINUTE_MS = 60_000
_ASCII = str.maketrans("─●○✕", "-*ox")


def print_lane(out: Console, lane: LaneView) -> None:
    """Print a lane. A pipe gets its name in place of the picture."""
    from rich.text import Text  # noqa: PLC0415 - --json does without rich

    drawn = " ".join(_steps(lane)) if terminal_width(out) else lane.title
    if not out.encoding.startswith("utf"):
        drawn = drawn.translate(_ASCII)
    out.print(Text(drawn, "bold"), no_wrap=True, overflow="ellipsis")
    print_hanging(out, Text(), _slots(lane), at=_INDENT, style="dim")
    if lane.hold:
        print_hanging(out, Text(), _held(lane, lane.hold), at=_INDENT, style="yellow")
    sent = [_sent_row(lane, view) for view in lane.sent]
    print_table(out, sent, names=1, numbers=(0, 2), at=_INDENT, style="cyan")
    waiting = [_waiting_row(lane, one) for one in lane.waiting]
    print_table(out, waiting, names=3, numbers=(2, 4), at=_INDENT)


def _steps(lane: LaneView) -> Iterator[str]:
    """Yield the parts of the picture: `eu  48 waiting ──● 12:00 sent ──○ 12:10 export.part-03 ──○ 12:20 exp…`."""
    yield f"{lane.title} "
    if lane.waiting:
        yield f"{len(lane.waiting):,} waiting"
    if lane.lane.last_start:
        yield f"──● {_at(lane, lane.lane.last_start)} sent"
    if lane.hold:
        yield f"──✕ {_held(lane, lane.hold)}"
        return
    if not lane.waiting:
        opens = lane.lane.next_slot() or 0
        yield f"──○ {'now' if opens <= lane.lane.now else _at(lane, opens)} free"
    for one in lane.waiting[:_DRAWN_FILES]:
        label = re.sub(r"(-of-\d+)?\.[0-9a-f]{10}\.\w+$", "", stored(one.view).name)
        yield " ".join(filter(None, ("──○", _at(lane, one.due), label, "first" if one.first else "")))


def _at(lane: LaneView, ms: int | None) -> str:
    return clock(ms, seconds=lane.lane.interval < _MINUTE_MS)


def _held(lane: LaneView, hold: Hold) -> str:
    until = f"until {clock(lane.held_until)}" if lane.held_until else "until a person resumes it"
    text = meaning(hold)
    return f"held: {printable(hold.reason)}{text and f' ({text})'}, {until}"


def _slots(lane: LaneView) -> str:
    """Return the last start, the next slot and the interval."""
    now, opens = lane.lane.now, lane.lane.next_slot()
    began = clock(lane.lane.last_start) or "none yet"
    slot = "not known" if opens is None else "now" if opens <= now else f"{clock(opens)}, {wait(opens, now)}"
    return f"last start: {began} · next slot: {slot} · one file every {span(lane.lane.interval / 1000)}"


def _sent_row(lane: LaneView, view: JobView) -> tuple[str, ...]:
    content, text = stored(view), sent_state(view)
    if view.until:
        looked = text in {"processing", "parked: lost_answer"}
        text += f", {'next look ' if looked else ''}{wait(view.until, lane.lane.now)}"
    return part_label(content), content.name, f"{content.rows:,}", printable(text)


def _waiting_row(lane: LaneView, one: WaitingFile) -> tuple[str, ...]:
    content = stored(one.view)
    soon = wait(one.due, lane.lane.now) if one.due is not None else "held"
    rows = f"{content.rows:,}"
    return _at(lane, one.due), soon, part_label(content), content.name, rows, "first" if one.first else ""
