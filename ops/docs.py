"""Writes the generated parts of the pages, and `.env.example`, from the code; `--check` tells whether they are true.

A part of a page stands between `<!-- made: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import docs_acl
import docs_jobs

from gaugepost.durations import spell
from gaugepost.keys import FAMILIES, FIXED
from gaugepost.settings import PREFIX, Settings
from gaugepost.states import mermaid

ROOT = Path(__file__).parents[1]
PAGES = ("docs/jobs.md", "docs/redis-acl.md", "docs/settings.md", "docs/states.md", "ops/runbooks/keys.md")
DURATIONS = ("retention",)


def states() -> str:
    """Draw the states of a job."""
    return f"```mermaid\n{mermaid()}\n```"


def settings() -> str:
    """List every setting with its default, for docs/settings.md."""
    rows = ["| name | default | what it is |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        secret = "SecretStr" in str(field.annotation)
        about = f"{_from_docs(str(field.description))}{' (or `…_FILE`)' if secret else ''}"
        rows.append(f"| `{PREFIX}{name.upper()}` | {_default(name, field.default)} | {about} |")
    return "\n".join(rows)


def _from_docs(text: str) -> str:
    """Return a description with its links, which are relative to the repository, as links from a page in docs/."""
    return text.replace("](docs/", "](").replace("](#redis)", "](redis.md)")


def _default(name: str, value: object) -> str:
    if value is None or value == {}:
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


_ENV_HEAD = """\
# gaugepost's settings: copy to .env (chmod 600), and take away the # of those that are not to be what stands there.
# docker-compose.yml hands .env to its workers, and to its other parts what they need of it. It sets itself
# GAUGEPOST_REDIS_URL, GAUGEPOST_METRICS_… and Flower's login.
# Values in single quotes stay as they are: docker compose fills in what begins with $ elsewhere.
# Made by `make docs`.
"""


def env_example() -> str:
    """List every setting as a line of an env file, with what it is; all of them commented out."""
    lines = [_ENV_HEAD]
    for name, field in Settings.model_fields.items():
        about = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", str(field.description)).replace("`", "").replace("\\|", "|")
        secret = "SecretStr" in str(field.annotation)
        variable = f"{PREFIX}{name.upper()}"
        lines.append(f"# {about}{f'; or {variable}_FILE=/path' if secret else ''}")
        example = "__NO_CAMPAIGN=5m,30m,2h" if name == "backoff" else f"={_plain(name, field.default)}"
        lines.append(f"#{variable}{example}\n")
    return "\n".join(lines)


def _plain(name: str, value: object) -> str:
    text = _default(name, value).strip("`")
    return "" if text == "–" else text


def keys() -> str:
    """List every Redis key with its type."""
    rows = ["| key | type | what it holds |", "| --- | --- | --- |"]
    rows += [f"| `gaugepost:{{region}}:{name}` | {kind} | {what} |" for name, (kind, what) in FIXED.items()]
    rows += [f"| `gaugepost:{{region}}:{name}…` | {kind} | {what} |" for name, (kind, what) in FAMILIES.items()]
    return "\n".join(rows)


PARTS = {
    "states": states,
    "settings": settings,
    "keys": keys,
    "job fields": docs_jobs.common,
    "jobs": docs_jobs.kinds,
    "acl": docs_acl.users,
}
FILES = {".env.example": env_example}


def filled(text: str) -> str:
    """Return a page with its generated parts made anew."""
    for name, make in PARTS.items():
        pattern = re.compile(rf"(<!-- made: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        made = make().replace("\\", r"\\")
        text = pattern.sub(rf"\g<1>{made}\n\g<2>", text)
    return text


def main() -> int:
    """Write the pages, or with --check tell which are not true any more."""
    stale = []
    for page in (*PAGES, *FILES):
        path = ROOT / page
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        after = FILES[page]() if page in FILES else filled(before)
        if before != after:
            stale.append(page)
            if "--check" not in sys.argv:
                path.write_text(after, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.stderr.write(f"make docs: {', '.join(stale)} no longer say what the code does\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
