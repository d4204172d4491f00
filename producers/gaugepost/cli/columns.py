"""Columns of fixed widths for terminals of any width: one column gives way, in its middle, and the others do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

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

    `right`: the columns that stand on the right. Empty columns are left out.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    taken = indent + sum(one + len(_GAP) for one in widths if one) - len(_GAP)
    if width is not None and taken > width:
        widths[yields] = max(_LEAST, widths[yields] - (taken - width))

    def cell(place: int, text: str) -> str:
        text = shorten(text, widths[place])
        return text.rjust(widths[place]) if place in right else text.ljust(widths[place])

    shown = [[cell(place, text) for place, text in enumerate(row) if widths[place]] for row in rows]
    return [" " * indent + _GAP.join(row).rstrip() for row in shown]
