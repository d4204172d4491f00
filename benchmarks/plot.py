"""Draw bars with their noise as a small SVG, without a library or fonts, for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT, TOP, STEP, THICK = 720, 130, 90, 34, 28, 18
OURS, OTHERS, TEXT, NOISE = "#0b7a75", "#9aa5b1", "#1f2933", "#3e4c59"


@dataclass(frozen=True)
class Bar:
    """One target: its median, smallest and largest value."""

    name: str
    value: float
    low: float
    high: float
    ours: bool = False


def bars(data: Sequence[Bar], title: str) -> str:
    """Return an SVG with one bar below the other."""
    height = TOP + STEP * len(data) + 10
    most = max((bar.high for bar in data), default=1.0)
    size = f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13" fill="{TEXT}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
             f"<title>{escape(title)}</title>",
             f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
             f'<text x="{LEFT}" y="20" font-weight="bold">{escape(title)}</text>']  # fmt: skip
    for place, bar in enumerate(data):
        lines += _bar(bar, TOP + STEP * place, (WIDTH - LEFT - RIGHT) / most)
    return "\n".join([*lines, "</svg>", ""])


def _bar(bar: Bar, top: int, scale: float) -> Iterator[str]:
    middle, end = top + THICK / 2, LEFT + bar.value * scale
    low, high = LEFT + bar.low * scale, LEFT + bar.high * scale
    weight = ' font-weight="bold"' if bar.ours else ""
    yield f'<text x="{LEFT - 8}" y="{middle + 4.5:.1f}" text-anchor="end"{weight}>{escape(bar.name)}</text>'
    colour = OURS if bar.ours else OTHERS
    yield f'<rect x="{LEFT}" y="{top}" width="{end - LEFT:.1f}" height="{THICK}" rx="2" fill="{colour}"/>'
    yield f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}" stroke="{NOISE}" stroke-width="1.5"/>'
    yield f'<text x="{max(end, high) + 6:.1f}" y="{middle + 4.5:.1f}"{weight}>{bar.value:,.0f}</text>'
