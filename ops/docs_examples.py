"""Write the examples of docs/languages.md from the files in docs/examples/."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1] / "docs/examples"
LANGUAGES = {
    "curl": ("curl", "sh", "bash"),
    "Node": ("node", "mjs", "js"),
    "PHP": ("php", "php", "php"),
    "Java": ("java", "java", "java"),
    "C#": ("csharp", "cs", "csharp"),
    "Go": ("go", "go", "go"),
}
"""Name of a language → its folder, the ending of its files, and its word for a Markdown fence."""


def links() -> str:
    """Return the example of each language that enqueues a personal link and waits for it."""
    return _sections("link")


def receivers() -> str:
    """Return the example of each language that receives webhooks. curl receives nothing."""
    return _sections("webhook")


def _sections(example: str) -> str:
    return "\n\n".join(part for name in LANGUAGES for part in _section(name, example))


def _section(name: str, example: str) -> Iterator[str]:
    folder, ending, fence = LANGUAGES[name]
    for file in (FOLDER / folder).glob(f"*.{ending}"):
        if file.stem.lower() == example:
            code = file.read_text(encoding="utf-8")
            yield f"**{name}**: [{file.name}](examples/{folder}/{file.name})\n\n```{fence}\n{code}```"
