"""A console that escapes control characters in every text that it prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment

from gaugepost_ops.cli.output.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import ConsoleOptions, RenderableType


class SafeConsole(Console):
    """A rich console. The terminal gets the control codes of rich and no others."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render with the control characters of all texts escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(_escaped(segment.text), segment.style)


def _escaped(text: str) -> str:
    """Escape a text, but keep its line breaks: rich made them."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))
