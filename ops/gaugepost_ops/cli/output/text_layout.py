"""Layout of long texts on terminals of any width.

A long value is folded under its own first letter. If a narrow terminal has too little room for that, the value goes
below its name. A pipe gets each text as one line, for grep. Links are never broken, so that people can copy them.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.text import Text

_INDENT_BELOW = 4
_MIN_ROOM = 36
"""The length of an upload's or a configuration's id. With less room than this, a value goes below its name."""


def terminal_width(out: Console) -> int | None:
    """Return the width of the terminal in letters; None for a pipe."""
    return out.width if sys.stdout.isatty() else None


def fold(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` letters: at spaces, or inside a word that is longer than a line."""
    from rich.cells import cell_len  # noqa: PLC0415 - --json does without rich

    lines: list[str] = []
    for piece in _pieces(text, width):
        if lines and cell_len(lines[-1]) + 1 + cell_len(piece) <= width:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines or [""]


def _pieces(text: str, width: int) -> Iterator[str]:
    from rich.cells import chop_cells  # noqa: PLC0415

    for word in text.split(" "):
        yield from [word] if "://" in word else chop_cells(word, max(width, 1)) or [""]


def fold_command(command: str, width: int | None, *, indent: int) -> str:
    r"""Break a command into lines that a person can copy to a shell: all lines but the last end with `\`."""
    if width is None:
        return " " * indent + command
    first, *words = map(shlex.quote, shlex.split(command))
    lines = [first]
    for word in words:
        if indent + len(lines[-1]) + len(word) + len("  \\") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return " \\\n".join(" " * indent + line for line in lines)


def _folded_head(head: Text, width: int) -> list[Text]:
    from rich.text import Text  # noqa: PLC0415

    if head.cell_len <= width:
        return [head]
    first, *others = fold(head.plain, width - 2)
    return [Text(line, head.style) for line in (first, *(f"  {other}" for other in others))]


def print_hanging(out: Console, head: Text, value: str, *, at: int, style: str = "") -> None:
    """Print `head`, and `value` from column `at` on. Fold what does not fit under column `at`, or below `head`."""
    from rich.text import Text  # noqa: PLC0415

    width = terminal_width(out)
    lines = value.split("\n")
    if width is not None:
        room = width - at
        if room < _MIN_ROOM and any(len(line) > room for line in lines):
            for part in _folded_head(head, width):
                out.print(part, soft_wrap=True)
            head, at = Text(), _INDENT_BELOW
        lines = [part for line in lines for part in fold(line, width - at)]
    for line in lines:
        head.pad_right(at - head.cell_len)
        printed = head + Text(line, style)
        printed.rstrip()
        out.print(printed, soft_wrap=True)
        head = Text()
