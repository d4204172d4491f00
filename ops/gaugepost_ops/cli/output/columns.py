"""Columns of fixed widths for terminals of any width: one column gives way, in its middle, and the others do not.

Where that is not enough, each row goes on as many lines as it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_GAP = "  "
_LEAST = 12


def shorten(text: str, width: int) -> str:
    """Take letters out of the middle: names of parts differ at both ends."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]


def columns(
    rows: Sequence[Sequence[str]], *, right: Collection[int] = (), yields: int, width: int | None, indent: int = 0
) -> list[str]:
    """Write rows as lines of at most `width` letters (None: as long as they are); column `yields` is cut if it must be.

    `right`: the columns that stand on the right. Empty columns are left out. A row that takes several lines is one
    text with line ends in it.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    taken = indent + sum(one + len(_GAP) for one in widths if one) - len(_GAP)
    if width is not None and taken > width:
        if widths[yields] - (taken - width) < min(_LEAST, widths[yields]):
            return [_flowing(filter(None, row), width, indent) for row in rows]
        widths[yields] -= taken - width

    def cell(place: int, text: str) -> str:
        text = shorten(text, widths[place])
        return text.rjust(widths[place]) if place in right else text.ljust(widths[place])

    shown = [[cell(place, text) for place, text in enumerate(row) if widths[place]] for row in rows]
    return [" " * indent + _GAP.join(row).rstrip() for row in shown]


def _flowing(cells: Iterable[str], width: int, indent: int) -> str:
    """Write cells one behind the other, on further lines where the first is full."""
    lines = [" " * indent]
    for text in cells:
        cell = shorten(text, width - indent - len(_GAP))
        if not lines[-1].strip():
            lines[-1] += cell
        elif len(lines[-1]) + len(_GAP) + len(cell) <= width:
            lines[-1] += _GAP + cell
        else:
            lines.append(" " * (indent + len(_GAP)) + cell)
    return "\n".join(lines)
