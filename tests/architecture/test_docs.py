"""Check the pages: generated parts, links, names of code and tests, commands and Python snippets."""

from __future__ import annotations

import ast
import functools
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from gaugepost.verdict import Verdict
from gaugepost_ops.cli.app import COMMANDS, load
from gaugepost_tasks.backoff import SCHEDULES

ROOT = Path(__file__).parents[2]
FOLDERS = ("producers", "tasks", "workers", "ops", "tests", "benchmarks")
PAGES = sorted({*ROOT.glob("*.md"), *(page for folder in ("docs", *FOLDERS) for page in (ROOT / folder).rglob("*.md"))})
INDEX = ROOT / "docs/README.md"

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
MENTION = re.compile(r"(?<![\w./-])(?:\.\./)*\w[\w./-]*\.md\b")
DEFINITION = r"^\s*(async def|def|class|local function) {}\b"


@functools.cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(text: str) -> str:
    return FENCE.sub("", text)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@functools.cache
def sources(*folders: str) -> tuple[Path, ...]:
    found = (path for folder in folders for ending in ("py", "lua") for path in (ROOT / folder).rglob(f"*.{ending}"))
    return tuple(found)


@pytest.mark.starts_process
def test_the_generated_parts_of_the_pages_are_true() -> None:
    command = [sys.executable, "ops/docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Links


def anchors(page: Path) -> set[str]:
    """List the anchors of a page's headings, as GitHub makes them."""
    titles = (LINK.sub("", heading).strip().lower() for heading in HEADING.findall(prose(read(page))))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def leads_nowhere(target: str, page: Path) -> bool:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.is_relative_to(ROOT) or not file.exists():
        return True
    return bool(anchor) and anchor not in anchors(file)


def relative_links(page: Path) -> list[str]:
    found = LINK.findall(CODE.sub("", prose(read(page))))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_to_a_page_and_its_anchor(page: Path) -> None:
    assert [target for target in relative_links(page) if leads_nowhere(target, page)] == []


def test_every_page_of_the_docs_has_links() -> None:
    assert {name(page) for page in ROOT.glob("docs/*.md") if not relative_links(page)} == set()


@pytest.mark.parametrize("target", ["absent.md", "../../outside.md", "policy.md#absent", "#absent", "../absent/"])
def test_link_that_leads_nowhere_is_found(target: str) -> None:
    assert leads_nowhere(target, INDEX)


@pytest.mark.parametrize("target", ["policy.md#holds", "../README.md#try-it", "#words", "../ops/decisions"])
def test_link_that_leads_somewhere_is_not_reported(target: str) -> None:
    assert not leads_nowhere(target, INDEX)


def test_every_page_of_the_docs_is_in_the_index() -> None:
    listed = {(INDEX.parent / target.partition("#")[0]).resolve() for target in relative_links(INDEX)}
    assert set(ROOT.glob("docs/*.md")) - listed == {INDEX}


# What code and pages name


def texts() -> Iterator[Path]:
    """Yield each file that may name a page: code, configuration, pages. This test invents names and is left out."""
    endings = {".py", ".lua", ".md", ".toml", ".yml", ".yaml", ".sh", ".service", ".target", ".txt", ".in"}
    inside = (path for folder in ("docs", *FOLDERS) for path in (ROOT / folder).rglob("*"))
    outside = (path for path in ROOT.iterdir() if path.suffix in endings or path.name == "Makefile")
    for path in (*outside, *inside):
        named = path.suffix in endings or path.name in {"Makefile", "Dockerfile"}
        if named and path.is_file() and path != Path(__file__):
            yield path


def is_page(mention: str, file: Path) -> bool:
    """Return whether a mention is a page: by a path from its file's folder, or by the end of some page's path."""
    place = (file.parent / mention).resolve()
    beside = place.is_file() and place.is_relative_to(ROOT)
    return beside or any(f"/{name(page)}".endswith(f"/{mention}") for page in PAGES)


def test_every_page_that_a_file_names_is_in_the_repository() -> None:
    named = [(file, mention) for file in texts() for mention in MENTION.findall(read(file))]
    assert [f"{name(file)}: {mention}" for file, mention in named if not is_page(mention, file)] == []
    assert len(named) > 200, "the pattern does not fit the files any more"


@pytest.mark.parametrize("mention", ["interface.md", "../shared/api/customergauge.md", "docs/absent.md"])
def test_page_outside_is_found(mention: str) -> None:
    assert MENTION.findall(f'"""Source: `{mention}`, section 5."""') == [mention]
    assert not is_page(mention, ROOT / "tasks/gaugepost_tasks/endpoints/record.py")


def have(path: str, files: tuple[Path, ...], definition: str) -> bool:
    """Return whether a file with this name, or this end of its path, has such a definition."""
    found = [file for file in files if f"/{name(file)}".endswith(f"/{path}")]
    return any(re.search(definition, read(file), re.MULTILINE) for file in found)


def absent(text: str) -> list[str]:
    """List each `file`, `file:function`, `file::test` and path in a text that the repository does not have."""
    code, text = sources(*FOLDERS), prose(text)
    tests = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    places = re.findall(r"`([\w/]+\.(?:py|lua))(?::(\w+))?`", text)
    gone = [f"{file}::{test}" for file, test in tests if not have(file, code, rf"^(async )?def {test}\(")]
    gone += [f"{file}:{what}" for file, what in places if not have(file, code, DEFINITION.format(what) if what else "")]
    paths = [
        path for path in re.findall(r"`([\w.-]+/[\w./@-]*)`", text) if path.partition("/")[0] in {"docs", *FOLDERS}
    ]
    return gone + [path for path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_function_and_test_that_a_page_names_exists(page: Path) -> None:
    assert absent(read(page)) == []


def test_every_promise_names_its_code_and_its_tests() -> None:
    lines = re.findall(r"^\| (?!promise|-).*$", read(ROOT / "docs/promises.md"), re.MULTILINE)
    complete = r"\| [^|]+ \| [^|]*(`|\]\()[^|]* \| [^|]*`test_\w+\.py::test_\w+`[^|]* \|"
    assert [line for line in lines if not re.fullmatch(complete, line)] == []
    assert len(lines) > 60, "the pattern does not fit the page any more"


@pytest.mark.parametrize("reference", ["absent.py", "policy.py:absent", "test_docs.py::test_absent", "ops/absent/"])
def test_reference_to_missing_code_is_found(reference: str) -> None:
    assert absent(f"kept by `{reference}`") != []
    assert absent("kept by `policy.py:decide`, `test_docs.py::test_page_outside_is_found`") == []
    assert absent("kept by `lua/settle.lua:settle`") == []


# Commands and Python


def commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of `gaugepost` in a page's blocks and code spans, up to a pipe."""
    blocks = "\n".join(block for _, block in FENCE.findall(text))
    shown = re.findall(r"^\$ (gaugepost .*)$", blocks, re.MULTILINE)
    for line in (*shown, *(code for code in CODE.findall(prose(text)) if code.startswith("gaugepost "))):
        words = shlex.split(line.replace("\\|", "|"), comments=True)
        end = next((at for at, word in enumerate(words) if re.match(r"[|>;&]", word)), len(words))
        yield words[1:end]


def fault(words: list[str]) -> str | None:
    """Return the command or option of a call that `gaugepost` does not have, or None."""
    if not words or not re.match(r"[a-z]", words[0]):
        return None
    called = words[0].partition("|")[0]
    if called not in COMMANDS:
        return f"no command {called}"
    if COMMANDS[called].passes_options_on:
        return None
    command: Any = load(called)
    rest = words[1:]
    if hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        part = rest[0].partition("|")[0]
        if part not in command.commands:
            return f"no command {called} {part}"
        command = command.commands[part]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    wrong = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in options | {"--help"}]
    return f"{called} has no {', '.join(wrong)}" if wrong else None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_a_page_shows_exists_with_its_options(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # it also names removed commands
        return
    assert [found for words in commands(read(page)) if (found := fault(words))] == []


def test_command_or_option_that_does_not_exist_is_found() -> None:
    page = "`gaugepost health absent`\n```console\n$ gaugepost status --absent | wc\n$ gaugepost absent\n```\n"
    found = [fault(words) for words in commands(page)]
    assert found == ["status has no --absent", "no command absent", "no command health absent"]
    assert fault(["uploads", "undo", "SET", "--yes"]) is None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_of_a_page_can_be_read_and_imports_what_exists(page: Path) -> None:
    for language, block in FENCE.findall(read(page)):
        tree = ast.parse(block) if language == "python" else ast.Module([], [])
        for statement in ast.walk(tree):
            if isinstance(statement, ast.ImportFrom) and str(statement.module).startswith("gaugepost"):
                module = import_module(str(statement.module))
                assert [one.name for one in statement.names if not hasattr(module, one.name)] == []


def test_changelog_and_upgrades_are_by_version() -> None:
    version = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["version"]
    assert re.search(rf"^## {re.escape(version)} \S \d{{4}}-\d\d-\d\d$", read(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert f" → {version} |" in read(ROOT / "docs/upgrades.md")


# Tables written by hand


def waits(schedule: tuple[float, ...]) -> str:
    """Write waits as the policy's page does: `2 s, 10 s, 1 min, 6 h`."""
    units = ((3600, "h"), (60, "min"), (1, "s"))
    spelled = (next(f"{wait / size:g} {unit}" for size, unit in units if wait >= size) for wait in schedule)
    return ", ".join(spelled)


def row(page: str, verdict: str) -> str:
    return next(line for line in page.splitlines() if line.startswith(f"| `{verdict}` |"))


def test_policy_page_has_every_verdict_and_its_waits() -> None:
    page = read(ROOT / "docs/policy.md")
    assert [verdict for verdict in Verdict if f"`{verdict}`" not in page] == []
    for verdict in (Verdict.NO_CAMPAIGN, Verdict.MAPPING_DRIFT, Verdict.SERVER_ERROR):
        assert f"sent again after {waits(SCHEDULES[verdict])}; then dead" in row(page, verdict)
    assert f"sent again after {waits(SCHEDULES[Verdict.UNRECOGNISED_404])}; then dead" in row(page, "unrecognised_…")


def test_every_error_code_in_the_code_is_on_the_api_page() -> None:
    codes = set(re.findall(r"\b\d{6}\b", read(ROOT / "tasks/gaugepost_tasks/answers/verdicts.py")))
    assert len(codes) > 8, "the codes have moved to another file"
    assert codes - set(re.findall(r"\b\d{6}\b", read(ROOT / "docs/customergauge.md"))) == set()
