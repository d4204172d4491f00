"""Charts of a region as SVG, made here: deliveries, waiting jobs and latency, of an hour or a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from gaugepost_ops.cli.output.formatting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import Period, RegionHistory

MINUTE_MS, QUARTER_MS = 60_000, 900_000
_WIDTH, _HEIGHT = 300, 56
_TOP = 4


class Span(NamedTuple):
    """The periods of a chart, oldest first; None: no worker recorded that one. `step`: the length of a period, ms."""

    name: str
    step: int
    start: int
    periods: list[Period | None]

    @property
    def known(self) -> list[Period]:
        """The periods that were recorded."""
        return [one for one in self.periods if one is not None]


class Chart(NamedTuple):
    """A chart: its title, its highest value in words, and the same for people who hear it."""

    title: str
    highest: str
    summary: str
    svg: Markup


def hour_of(history: RegionHistory) -> Span:
    """Return the last 60 minutes."""
    return _span("hour", MINUTE_MS, 60, history.minutes, history.now)


def day_of(history: RegionHistory) -> Span:
    """Return the last 96 quarters of an hour."""
    return _span("day", QUARTER_MS, 96, history.quarters, history.now)


def _span(name: str, step: int, number: int, found: Sequence[Period], now: int) -> Span:
    start = now - now % step - number * step
    by_time = {one.at: one for one in found}
    return Span(name, step, start, [by_time.get(start + step * place) for place in range(number)])


def charts_of(span: Span) -> list[Chart]:
    """Draw deliveries with deaths, waiting jobs, and latency."""
    unit = "minute" if span.name == "hour" else "quarter of an hour"
    delivered = sum(one.delivered for one in span.known)
    dead = sum(one.dead for one in span.known)
    ended = [one.delivered + one.dead if one else None for one in span.periods]
    most = max((one or 0 for one in ended), default=0)
    bars = _bars(ended, most, "bar") + _bars([one.dead if one else None for one in span.periods], most, "bad")
    words = f"{delivered:,} delivered and {dead:,} dead in this {span.name}, at most {most:,} in a {unit}"
    charts = [Chart(f"Delivered, and dead (outlined), per {unit}", f"peak {most:,}", words, _svg(bars, words))]
    waiting = [one.waiting if one else None for one in span.periods]
    high = max((one or 0 for one in waiting), default=0)
    words = f"at most {counted(high, 'job')} not yet delivered, {waiting[-1] or 0:,} at the end"
    charts.append(Chart("Not yet delivered", f"peak {high:,}", words, _svg(_line(waiting, high, "line"), words)))
    slow = [one.p95_s if one else None for one in span.periods]
    half = [one.p50_s if one else None for one in span.periods]
    high_s = max((one for one in slow if one is not None), default=None)
    words = f"95 % of the jobs were delivered within {seconds(high_s)} in the slowest {unit}"
    if high_s is None:
        words = f"nothing was delivered in this {span.name}"
    lines = _line(slow, high_s or 0, "line") + _line(half, high_s or 0, "line second")
    highest = "none yet" if high_s is None else f"peak {seconds(high_s)}"
    charts.append(Chart("Time to deliver 95 % of jobs, and half (dashed)", highest, words, _svg(lines, words)))
    return charts


def seconds(value: float | None) -> str:
    """Format a latency."""
    if value is None:
        return "none"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:  # noqa: PLR2004 - two minutes
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"  # noqa: PLR2004 - two hours


def _svg(content: Markup, summary: str) -> Markup:
    ground = Markup('<path class="ground" d="M0 {}H{}"/>').format(_HEIGHT - 0.5, _WIDTH)
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}{}</svg>'
    ).format(_WIDTH, _HEIGHT, summary, ground, content)


def _y(value: float, most: float) -> float:
    return _HEIGHT - (_HEIGHT - _TOP) * value / most


def _bars(values: Sequence[int | None], most: float, kind: str) -> Markup:
    width = _WIDTH / len(values)
    parts = [
        f"M{place * width + width * 0.1:.1f} {_HEIGHT}V{_y(value, most):.1f}h{width * 0.8:.1f}V{_HEIGHT}z"
        for place, value in enumerate(values)
        if value
    ]
    return Markup('<path class="{}" d="{}"/>').format(kind, "".join(parts)) if parts else Markup("")


def _line(values: Sequence[float | None], most: float, kind: str) -> Markup:
    """Draw a line with a gap where nothing is known. A period between two gaps is a short line of its own."""
    width, parts, is_down = _WIDTH / len(values), [], False
    for place, value in enumerate(values):
        if value is not None:
            x, y = place * width + width / 2, _y(value, most or 1)
            parts.append(f"L{x:.1f} {y:.1f}" if is_down else f"M{x - width * 0.3:.1f} {y:.1f}h{width * 0.6:.1f}")
        is_down = value is not None
    return Markup('<path class="{}" d="{}"/>').format(kind, "".join(parts)) if parts else Markup("")
