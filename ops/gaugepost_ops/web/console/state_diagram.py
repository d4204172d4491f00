"""The diagram of a job's states as SVG, from the table of legal changes, with the way of one job marked."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup

from gaugepost.states import TRANSITIONS, JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

_S = JobState
_WIDTH, _HEIGHT = 104, 32
_PLACES = {
    _S.WAITING: (60, 40),
    _S.QUEUED: (60, 130),
    _S.PARKED: (60, 220),
    _S.SENDING: (300, 85),
    _S.UNKNOWN: (300, 175),
    _S.DELIVERED: (540, 30),
    _S.DEAD: (540, 105),
    _S.CANCELLED: (540, 180),
    _S.EXPIRED: (540, 240),
}
"""The centre of each state."""
_BOWS = {
    (_S.QUEUED, _S.EXPIRED): (0, 50),
    (_S.WAITING, _S.PARKED): (-125, 0),
    (_S.WAITING, _S.CANCELLED): (0, 30),
    (_S.WAITING, _S.EXPIRED): (0, -20),
    (_S.PARKED, _S.WAITING): (125, 0),
    (_S.PARKED, _S.DELIVERED): (0, 10),
    (_S.PARKED, _S.DEAD): (0, -50),
    (_S.PARKED, _S.CANCELLED): (0, 20),
    (_S.DEAD, _S.WAITING): (0, -50),
}
"""How far lines are bowed that would otherwise run behind the box of another state."""


def diagram(path: Sequence[JobState]) -> Markup:
    """Draw all states and changes; those of the path are marked, and the last state is where the job is."""
    went = set(pairwise(path))
    edges = [(source, to) for source in TRANSITIONS for to in _S if to in TRANSITIONS[source]]
    drawn = [_edge(source, to, is_marked=False) for source, to in edges if (source, to) not in went]
    drawn += [_edge(source, to, is_marked=True) for source, to in edges if (source, to) in went]
    drawn += [_node(state, path) for state in _S]
    text = ", then ".join(path)
    return Markup(
        '<svg class="diagram" viewBox="-20 0 620 265" role="img" aria-label="{}"><defs>{}{}</defs>{}</svg>'
    ).format(f"The way of the job: {text}", _tip("tip"), _tip("tip-went"), Markup("").join(drawn))


def _tip(name: str) -> Markup:
    return Markup(
        '<marker id="{}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" orient="auto" '
        'markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8z"/></marker>'
    ).format(name)


def _node(state: JobState, path: Sequence[JobState]) -> Markup:
    x, y = _PLACES[state]
    kind = "now" if path and state is path[-1] else "been" if state in path else "not"
    return Markup(
        '<g class="node {} state-{}"><rect x="{}" y="{}" width="{}" height="{}" rx="8"/>'
        '<text x="{}" y="{}">{}</text></g>'
    ).format(kind, state, x - _WIDTH / 2, y - _HEIGHT / 2, _WIDTH, _HEIGHT, x, y + 5, state)


def _edge(source: JobState, to: JobState, *, is_marked: bool) -> Markup:
    """Draw a bowed line between the borders of two states: there and back are then two lines."""
    (x1, y1), (x2, y2) = _PLACES[source], _PLACES[to]
    bow_x, bow_y = _BOWS.get((source, to), ((y2 - y1) * 0.12, -(x2 - x1) * 0.06))
    middle = ((x1 + x2) / 2 + bow_x, (y1 + y2) / 2 + bow_y)
    start, end = _border(x1, y1, middle), _border(x2, y2, middle)
    line = f"M{start[0]:.0f} {start[1]:.0f}Q{middle[0]:.0f} {middle[1]:.0f} {end[0]:.0f} {end[1]:.0f}"
    kind, tip = ("edge went", "tip-went") if is_marked else ("edge", "tip")
    return Markup('<path class="{}" d="{}" marker-end="url(#{})"/>').format(kind, line, tip)


def _border(x: float, y: float, towards: tuple[float, float]) -> tuple[float, float]:
    """Return where a line from the centre of a state leaves its box."""
    dx, dy = towards[0] - x, towards[1] - y
    share = min(_WIDTH / 2 / abs(dx) if dx else 9e9, _HEIGHT / 2 / abs(dy) if dy else 9e9)
    return x + dx * share, y + dy * share
