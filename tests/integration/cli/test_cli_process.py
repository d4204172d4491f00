"""The command line as a program: help, missing extras, settings, the simulator."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.redis_server import RedisServer

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

ALL = (
    *("enqueue", "upload", "uploads", "job", "jobs", "find", "cancel", "erase", "status", "schema", "mappings"),
    *("batch", "batches", "replay", "settle", "hold", "resume", "holds", "operations", "keys", "audit", "webhooks"),
    "users",
    *("health", "move", "exporter", "check", "simulate", "worker", "serve", "beat", "flower", "up", "demo"),
)


NO_DETECTION = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # of the shell around: tests name one


@pytest.fixture
def cli(cli: Cli) -> Cli:
    cli.new_process = True
    return cli


def hide(cli: Cli, *modules: str) -> None:
    """Hide modules, as if they were not installed."""
    folder = cli.folder / "hidden"
    folder.mkdir()
    for name in modules:
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError(name={name!r})\n")
    cli.environment["PYTHONPATH"] = str(folder)


def test_check_names_redis_settings_that_lose_jobs(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "forgetful"
    folder.mkdir()
    server = RedisServer(folder, "--appendonly", "no", "--maxmemory-policy", "allkeys-lru").start()
    try:
        cli.environment |= {"GAUGEPOST_REDIS_URL": server.url, "GAUGEPOST_REGIONS": "eu"}
        done = cli("check")
    finally:
        server.stop()
    assert done.code == 1
    [printed] = [line for line in done.out.splitlines() if line.startswith("FAILED  eu  redis")]
    assert "set `appendonly yes`" in printed
    assert "set `maxmemory-policy noeviction`" in printed


def test_refused_lines_get_a_command_that_helps(cli: Cli) -> None:
    done = cli("enqueue", cli.write("jobs.jsonl", "no job"))
    assert (done.code, done.out) == (2, "")
    assert "--skip-invalid REJECTS" in done.err
    assert "`gaugepost schema`" in done.err


def test_help_lists_every_command(cli: Cli) -> None:
    done = cli("--help")
    assert done.code == 0
    listed = re.findall(r"^│ (\w+) +[A-Z]", done.out, re.MULTILINE)
    assert sorted(listed) == sorted(ALL)


def test_help_needs_only_the_client_and_imports_none_of_the_rest(cli: Cli) -> None:
    look = (
        "import sys; from gaugepost_ops.cli.app import build; build()(['--help'], standalone_mode=False);"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " {'celery', 'kombu', 'requests', 'flower', 'gaugepost_workers', 'gaugepost_tasks', 'gaugepost_simulator'}])"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")


def test_without_its_extra_it_says_what_to_install(cli: Cli) -> None:
    hide(cli, "typer", "rich")
    done = cli("jobs")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1] == "  pip install 'gaugepost[cli]'"


@pytest.mark.parametrize(
    ("call", "hidden", "extra"),
    [
        (("worker", "--region", "eu"), "celery", "worker"),
        (("beat",), "celery", "worker"),
        (("simulate",), "tornado", "simulator"),
        (("serve",), "uvicorn", "web"),
    ],
)
def test_a_command_without_its_extra_says_what_to_install(
    cli: Cli, call: tuple[str, ...], hidden: str, extra: str
) -> None:
    hide(cli, hidden)
    done = cli(*call)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1] == f"  pip install 'gaugepost[{extra}]'"


COMPLETE = """
eval "$(gaugepost --show-completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
_gaugepost_completion gaugepost
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (("ho",), ["hold", "holds"]),
        (("jobs", "--sta"), ["--state"]),
        (("jobs", "--state", "d"), ["delivered", "dead"]),
        (("uploads", "u"), ["undo"]),
        (("hold", ""), ["eu", "us", "au"]),
        (("worker", "--region", "e"), ["eu"]),
    ],
)
def test_bash_completes_commands_options_and_values(cli: Cli, typed: tuple[str, ...], offered: list[str]) -> None:
    assert asked_of_bash(cli, *typed) == offered


def test_completion_of_a_command_without_its_extra_is_silent(cli: Cli) -> None:
    hide(cli, "celery", "structlog")
    assert asked_of_bash(cli, "worker", "--re") == []


def asked_of_bash(cli: Cli, *typed: str) -> list[str]:
    """Return the completions that a real bash offers."""
    program = cli.folder / "gaugepost"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gaugepost_ops "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE, "bash", "gaugepost", *typed],
        env=os.environ | {"PATH": f"{cli.folder}:{os.environ['PATH']}"} | NO_DETECTION | cli.environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_shown_and_installed(cli: Cli, shell: str, tmp_path: Path) -> None:
    cli.environment |= NO_DETECTION | {"HOME": str(tmp_path)}
    shown = cli("--show-completion", shell)
    assert (shown.code, "gaugepost" in shown.out) == (0, True)
    assert cli("--install-completion", shell).code == 0
    assert any("gaugepost" in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def test_missing_module_of_our_own_keeps_its_traceback(cli: Cli) -> None:
    hide(cli, "gaugepost_workers")
    done = cli("beat")
    assert done.code == 1
    assert "Traceback" in done.err


@pytest.mark.parametrize(
    "call",
    [
        ("nope",),
        ("job",),
        ("jobs", "--state", "asleep"),
        ("jobs", "--limit", "x"),
        ("enqueue",),
        ("cancel",),
        ("--no",),
    ],
)
def test_a_wrong_call_is_exit_code_2(cli: Cli, call: tuple[str, ...]) -> None:
    done = cli(*call)
    assert (done.code, done.out) == (2, "")
    assert done.err


@pytest.mark.parametrize("call", [("job", "x"), ("jobs",), ("cancel", "x"), ("status",), ("status", "--watch")])
def test_unreachable_redis_is_exit_code_3(cli: Cli, call: tuple[str, ...]) -> None:
    cli.environment["GAUGEPOST_REDIS_URL"] = "redis://127.0.0.1:1/0"
    done = cli(*call)
    assert (done.code, done.out) == (3, "")
    printed, then = done.err.splitlines()
    assert printed == "Redis cannot be reached: ConnectionError (GAUGEPOST_REDIS_URL: 127.0.0.1:1/0)"
    assert "`gaugepost check`" in then


def test_wrong_redis_password_is_named_and_not_repeated(cli: Cli, redis_server: RedisServer) -> None:
    cli.environment["GAUGEPOST_REDIS_URL"] = f"redis://joe:hunter2@127.0.0.1:{redis_server.port}/0"
    done = cli("status")
    assert (done.code, done.out) == (3, "")
    assert "correct them in GAUGEPOST_REDIS_URL" in done.err
    assert "hunter2" not in done.err


@pytest.mark.parametrize("call", [("jobs",), ("status",), ("enqueue", "-")])
def test_wrong_settings_are_exit_code_2_and_named(cli: Cli, call: tuple[str, ...]) -> None:
    cli.environment["GAUGEPOST_REDIS_ULR"] = "redis://127.0.0.1:1/0"
    done = cli(*call)
    assert (done.code, done.out) == (2, "")
    assert "did you mean GAUGEPOST_REDIS_URL?" in done.err


def test_a_region_that_is_not_served_is_exit_code_2(cli: Cli) -> None:
    cli.environment["GAUGEPOST_REGIONS"] = "eu"
    assert cli("jobs", "--region", "us").code == 2


def test_simulate_becomes_the_simulator_and_passes_its_options_on(cli: Cli) -> None:
    with cli.start("simulate", "--port", "0", "--print-env") as process:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        process.send_signal(signal.SIGTERM)
    assert re.match(r"simulator listening on http://127\.0\.0\.1:\d+", first)
    assert second.startswith("GAUGEPOST_")


def test_version_is_printed(cli: Cli, tmp_path: Path) -> None:
    done = cli("--version")
    assert done.code == 0
    assert done.out.startswith("gaugepost ")
