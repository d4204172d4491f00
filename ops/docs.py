"""Write the generated parts of the pages, and `.env.example`, from the code.

A generated part is between `<!-- made: NAME -->` and `<!-- end -->`. With `--check` write nothing, and exit 1 if a file
is out of date.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import docs_acl
import docs_examples
import docs_jobs

from gaugepost.durations import spell
from gaugepost.keys import FAMILIES, FIXED
from gaugepost.settings import PREFIX, Settings
from gaugepost.settings.group import Group
from gaugepost.states import mermaid
from gaugepost_ops.cli.audited import RECORDED
from gaugepost_ops.web.openapi import description

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[1]
PAGES = (
    "docs/audit.md",
    "docs/jobs.md",
    "docs/languages.md",
    "docs/redis-acl.md",
    "docs/settings.md",
    "docs/states.md",
    "ops/runbooks/keys.md",
)
DURATIONS = ("retention",)


def states() -> str:
    """Return the diagram of a job's states."""
    return f"```mermaid\n{mermaid()}\n```"


def settings() -> str:
    """Return the tables of all settings, one for each group, for docs/settings.md."""
    return "\n\n".join(_table(title, fields) for title, fields in _groups())


def _groups() -> Iterator[tuple[str, Mapping[str, FieldInfo]]]:
    """Yield the title and the fields of each group of settings."""
    for group in Settings.__bases__:
        if issubclass(group, Group):
            yield str(group.__doc__).removesuffix("."), group.model_fields


def _table(title: str, fields: Mapping[str, FieldInfo]) -> str:
    rows = [f"## {title}\n", "| name | default | what it is |", "| --- | --- | --- |"]
    for name, field in fields.items():
        secret = "SecretStr" in str(field.annotation)
        about = f"{_from_docs(str(field.description))}{' (or `…_FILE`)' if secret else ''}"
        rows.append(f"| `{PREFIX}{name.upper()}` | {_default(name, field.default)} | {about} |")
    return "\n".join(rows)


def _from_docs(text: str) -> str:
    """Convert the links of a description: relative to the repository → relative to docs/."""
    return text.replace("](docs/", "](").replace("](#redis)", "](redis.md)")


def _default(name: str, value: object) -> str:
    if value is None or value in ({}, ()):
        return "–"
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    if name == "upload_poll" and isinstance(value, tuple):
        return f"`{','.join(map(spell, value))}`"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    if isinstance(value, float):
        return f"`{spell(value) if name.startswith(DURATIONS) else format(value, 'g')}`"
    return f"`{value}`"


def recorded_commands() -> str:
    """Return the table of the commands that the audit trail records, for docs/audit.md."""
    rows = ["| command | recorded | target | count |", "| --- | --- | --- | --- |"]
    return "\n".join([*rows, *(f"| `{name}` | {' | '.join(facts)} |" for name, facts in RECORDED.items())])


_ENV_HEAD = """\
# gaugepost's settings. Copy this file to .env (chmod 600). Each line shows a default: to change one, remove its # and
# write your value.
# docker-compose.yml passes .env to the workers, and to each other part the settings that it needs. It sets
# GAUGEPOST_REDIS_URL, GAUGEPOST_METRICS_… and Flower's login itself.
# Put a value with a $ into single quotes: elsewhere docker compose replaces what begins with $.
# Made by `make docs`.
"""


def env_example() -> str:
    """Return every setting as a commented line of an env file, below its description."""
    lines = [_ENV_HEAD]
    for title, fields in _groups():
        lines.append(f"# == {title}\n")
        lines += (_example(name, field) for name, field in fields.items())
    return "\n".join(lines)


def _example(name: str, field: FieldInfo) -> str:
    about = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", str(field.description)).replace("`", "").replace("\\|", "|")
    secret = "SecretStr" in str(field.annotation)
    variable = f"{PREFIX}{name.upper()}"
    value = "__NO_CAMPAIGN=5m,30m,2h" if name == "backoff" else f"={_plain(name, field.default)}"
    return f"# {about}{f'; or {variable}_FILE=/path' if secret else ''}\n#{variable}{value}\n"


def _plain(name: str, value: object) -> str:
    text = _default(name, value).strip("`")
    return "" if text == "–" else text


def keys() -> str:
    """Return the table of all Redis keys with their types."""
    rows = ["| key | type | what it holds |", "| --- | --- | --- |"]
    rows += [f"| `gaugepost:{{region}}:{name}` | {kind} | {what} |" for name, (kind, what) in FIXED.items()]
    rows += [f"| `gaugepost:{{region}}:{name}…` | {kind} | {what} |" for name, (kind, what) in FAMILIES.items()]
    return "\n".join(rows)


def openapi() -> str:
    """Return the description of the HTTP gateway."""
    return json.dumps(description(), indent=1, ensure_ascii=False) + "\n"


PARTS = {
    "states": states,
    "settings": settings,
    "keys": keys,
    "job fields": docs_jobs.common,
    "jobs": docs_jobs.kinds,
    "acl": docs_acl.users,
    "link examples": docs_examples.links,
    "webhook examples": docs_examples.receivers,
    "recorded commands": recorded_commands,
}
FILES = {".env.example": env_example, "docs/openapi.json": openapi}


def regenerate(text: str) -> str:
    """Return a page with its generated parts replaced."""
    for name, generate in PARTS.items():
        pattern = re.compile(rf"(<!-- made: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        part = generate().replace("\\", r"\\")
        text = pattern.sub(rf"\g<1>{part}\n\g<2>", text)
    return text


def main() -> int:
    """Write the files that are out of date. With --check list them on stderr and return 1."""
    stale = []
    for page in (*PAGES, *FILES):
        path = ROOT / page
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        after = FILES[page]() if page in FILES else regenerate(before)
        if before != after:
            stale.append(page)
            if "--check" not in sys.argv:
                path.write_text(after, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.stderr.write(f"out of date: {', '.join(stale)}. Run `make docs`.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
