"""Write the examples of docs/languages.md from the files in docs/examples/."""

from __future__ import annotations

from pathlib import Path

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


def _sections(example: str) -> str:
    return "\n\n".join(_section(name, example) for name in LANGUAGES)


def _section(name: str, example: str) -> str:
    folder, ending, fence = LANGUAGES[name]
    [file] = (path for path in (FOLDER / folder).glob(f"*.{ending}") if path.stem.lower() == example)
    code = file.read_text(encoding="utf-8")
    return f"### {name}\n\n[{file.name}](examples/{folder}/{file.name})\n\n```{fence}\n{code}```"
