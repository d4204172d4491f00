"""Columns for terminals of any width. Only one column, the flexible one, is shortened, in its middle.

If that is not enough, each row takes several lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_GAP = "  "
_MIN_WIDTH = 12


def shorten(text: str, width: int) -> str:
    """Shorten a text to `width` letters by an ellipsis in its middle, because names of parts differ at both ends."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]


def columns(
    rows: Sequence[Sequence[str]],
    *,
    right_aligned: Collection[int] = (),
    flexible: int,
    width: int | None,
    indent: int = 0,
) -> list[str]:
    """Lay rows out as lines of at most `width` letters (None: no limit), each behind `indent` spaces.

    `flexible` is the index of the column that may be shortened, `right_aligned` are those of columns with numbers.
    Empty columns are omitted. A row that needs several lines is one text with line breaks in it.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    taken = indent + sum(one + len(_GAP) for one in widths if one) - len(_GAP)
    if width is not None and taken > width:
        if widths[flexible] - (taken - width) < min(_MIN_WIDTH, widths[flexible]):
            return [_wrap_row(filter(None, row), width, indent) for row in rows]
        widths[flexible] -= taken - width

    def padded(place: int, text: str) -> str:
        text = shorten(text, widths[place])
        return text.rjust(widths[place]) if place in right_aligned else text.ljust(widths[place])

    padded_rows = [[padded(place, text) for place, text in enumerate(row) if widths[place]] for row in rows]
    return [" " * indent + _GAP.join(row).rstrip() for row in padded_rows]


def _wrap_row(texts: Iterable[str], width: int, indent: int) -> str:
    """Put the texts of a row one after another, on as many lines as they need."""
    lines = [" " * indent]
    for text in texts:
        cell = shorten(text, width - indent - len(_GAP))
        if not lines[-1].strip():
            lines[-1] += cell
        elif len(lines[-1]) + len(_GAP) + len(cell) <= width:
            lines[-1] += _GAP + cell
        else:
            lines.append(" " * (indent + len(_GAP)) + cell)
    return "\n".join(lines)
