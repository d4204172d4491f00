"""Draw an upload lane: one line of a picture for terminals, and the details below it. All functions are pure."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from gaugepost.ledger.explanations import meaning
from gaugepost_ops.cli.output.columns import columns, shorten
from gaugepost_ops.cli.output.formatting import clock, printable, span, wait
from gaugepost_ops.cli.output.text_layout import fold
from gaugepost_ops.cli.uploads.lanes import part_label, sent_state, stored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from gaugepost.ledger import JobView
    from gaugepost_ops.cli.uploads.lanes import LaneView, WaitingFile

StyledLine = tuple[str, str]
"""A text and its style."""

_INDENT = 4
_LABEL = 24
_MINUTE_MS = 60_000
_PLAIN = str.maketrans("─●○✕…·", "-*ox..")


def lane_line(lane: LaneView, width: int) -> str:
    """Draw the lane: `eu  ──● 12:00 sent ──○ 12:10 export.part-02 ──○ 12:20 export.part-03 ── 47 more`.

    The line has at most `width` letters.
    """
    drawn = f"{lane.title} "
    drawn += f" ──● {_at(lane, lane.lane.last_start)} sent" if lane.lane.last_start else ""
    if lane.hold:
        drawn += shorten(f" ──✕ {_hold_text(lane)}", max(width - len(drawn), 0))
    rest = len(lane.waiting)
    for one in lane.waiting:
        step = f" ──○ {_step(lane, one)}"
        more = f" ── {rest - 1:,} more" if rest > 1 else ""
        if len(drawn) + len(step) + len(more) > width:
            break
        drawn += step
        rest -= 1
    if rest:
        tail = f" ── {rest:,} {'more' if rest < len(lane.waiting) else 'waiting'}"
        drawn += tail if len(drawn) + len(tail) <= width else ""
    elif not lane.waiting and not lane.hold:
        drawn += f" ──○ {_next(lane)} free"
    return _safe(drawn)


def _safe(text: str) -> str:
    """Replace the drawing characters by ASCII if stdout cannot encode them."""
    encoding = (sys.stdout.encoding or "ascii").lower()
    return text if encoding.startswith("utf") else text.translate(_PLAIN)


def _at(lane: LaneView, ms: int | None) -> str:
    return clock(ms, seconds=lane.lane.interval < _MINUTE_MS)


def _next(lane: LaneView) -> str:
    opens = lane.lane.next_slot()
    return "now" if opens is not None and opens <= lane.lane.now else _at(lane, opens)


def _hold_text(lane: LaneView) -> str:
    """Return the hold of a lane in words; empty without one."""
    if lane.hold is None:
        return ""
    until = f"until {clock(lane.held_until)}" if lane.held_until else "until a person resumes it"
    text = meaning(lane.hold)
    return f"held: {printable(lane.hold.reason)}{text and f' ({text})'}, {until}"


def _step(lane: LaneView, one: WaitingFile) -> str:
    label = re.sub(r"(-of-\d+)?\.[0-9a-f]{10}\.\w+$", "", stored(one.view).name)
    words = (_at(lane, one.due), shorten(label, _LABEL), "first" if one.first else "")
    return " ".join(word for word in words if word)


def detail_lines(lane: LaneView, width: int | None) -> Iterator[StyledLine]:
    """Yield the lines below the picture: the lane's times, its hold, each sent file, each waiting file."""
    now = lane.lane.now
    began = clock(lane.lane.last_start) or "none yet"
    opens = lane.lane.next_slot()
    slot = "not known" if opens is None else "now" if opens <= now else f"{clock(opens)}, {wait(opens, now)}"
    text = f"last start: {began} · next slot: {slot} · one file every {span(lane.lane.interval / 1000)}"
    yield from _folded(text, width, "dim")
    if lane.hold:
        yield from _folded(_hold_text(lane), width, "yellow")
    sent = [_sent_row(lane, view) for view in lane.sent]
    yield from ((text, "cyan") for text in _table(sent, width, right_aligned=(0, 2), flexible=1))
    yield from ((text, "") for text in _table(_waiting_rows(lane), width, right_aligned=(2, 4), flexible=3))


def _folded(text: str, width: int | None, style: str) -> Iterator[StyledLine]:
    parts = [text] if width is None else fold(text, width - _INDENT)
    yield from ((f"{' ' * _INDENT}{part}", style) for part in parts)


def _table(
    rows: Sequence[Sequence[str]], width: int | None, *, right_aligned: Collection[int], flexible: int
) -> list[str]:
    return columns(rows, right_aligned=right_aligned, flexible=flexible, width=width, indent=_INDENT) if rows else []


def _sent_row(lane: LaneView, view: JobView) -> tuple[str, str, str, str]:
    content = stored(view)
    text = sent_state(view)
    if view.until:
        looked = text in {"processing", "parked: lost_answer"}
        text += f", {'next look ' if looked else ''}{wait(view.until, lane.lane.now)}"
    return part_label(content), content.name, f"{content.rows:,}", printable(text)


Row = tuple[str, str, str, str, str, str]
"""Start time, time until then, part, name, number of rows, remark."""


def _waiting_rows(lane: LaneView) -> list[Row]:
    rows: list[Row] = []
    for one in lane.waiting:
        content = stored(one.view)
        soon = wait(one.due, lane.lane.now) if one.due is not None else "held"
        text = "first" if one.first else ""
        rows.append((_at(lane, one.due), soon, part_label(content), content.name, f"{content.rows:,}", text))
    return rows
