"""Layout of long texts and of tables on terminals of any width.

A long value is folded under its own first letter. If a narrow terminal has too little room for that, the value goes
below its name. A pipe gets each text as one line, for grep. Links are never broken, so that people can copy them.
"""

from __future__ import annotations

import shlex
import sys
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rich.console import Console
    from rich.text import Text

_INDENT_BELOW = 4
_GAP = 2
_MIN_ROOM = 36
"""The length of an upload's or a configuration's id. With less room than this, a value goes below its name."""


def terminal_width(out: Console) -> int | None:
    """Return the width of the terminal in letters; None for a pipe."""
    return out.width if out.file.isatty() else None


def fold(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` letters: at spaces, or inside a word that is longer than a line."""
    from rich.console import Console  # noqa: PLC0415 - --json does without rich
    from rich.text import Text  # noqa: PLC0415

    width = max(width, 1)
    if "://" in text:
        return wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [line.plain.rstrip() for line in Text(text).wrap(Console(), width)]


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


def print_hanging(out: Console, head: Text, value: str, *, at: int, style: str = "") -> None:
    """Print `head`, and `value` from column `at` on. Fold what does not fit under column `at`, or below `head`."""
    from rich.text import Text  # noqa: PLC0415

    width, lines = terminal_width(out), value.split("\n")
    if width is not None:
        if width - at < _MIN_ROOM and max(map(len, lines)) > width - at:
            out.print(head)
            head, at = Text(), _INDENT_BELOW
        lines = [part for line in lines for part in fold(line, width - at)]
    for line in lines:
        head.pad_right(at - head.cell_len)
        _print_line(out, head + Text(line, style))
        head = Text()


def print_table(
    out: Console,
    rows: Sequence[Sequence[str]],
    *,
    names: int,
    heading: Sequence[str] = (),
    numbers: Collection[int] = (),
    at: int = 0,
    style: str = "",
) -> None:
    """Print rows as columns from column `at` on, without the empty ones. `numbers` are aligned at the right.

    If a row is too long, the texts of the column `names` end with an ellipsis. On a narrow terminal, others are folded.
    """
    from rich.padding import Padding  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.show_header, table.header_style = bool(heading), "dim"
    used = [place for place, texts in enumerate(zip(*rows, strict=True)) if any(texts)]
    for place in used:
        title = heading[place] if heading else ""
        table.add_column(title, justify="right" if place in numbers else "left", overflow="fold")
    for row in rows:
        cells = [
            Text(row[place], overflow="ellipsis", no_wrap=True) if place == names else row[place] for place in used
        ]
        table.add_row(*cells, style=style)
    options = out.options.update(width=terminal_width(out) or sys.maxsize)
    for parts in out.render_lines(Padding.indent(table, at), options, pad=False):
        _print_line(out, Text.assemble(*((part.text, part.style or "") for part in parts)))


def _print_line(out: Console, line: Text) -> None:
    line.rstrip()
    out.print(line, soft_wrap=True)
