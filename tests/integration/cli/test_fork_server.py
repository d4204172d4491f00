"""Check that a forked call ends like one that starts Python. The other tests of the command line rely on it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from support.fork_server import call, forks

if TYPE_CHECKING:
    from conftest import Cli


@pytest.mark.parametrize(
    ("arguments", "stdin", "code"),
    [
        (("--help",), "", 0),
        (("schema",), "", 0),
        (("enqueue", "-", "--dry-run"), "{}\nno job\n", 2),
        (("job", "x"), "", 1),
        (("nope",), "", 2),
    ],
)
def test_forked_call_ends_as_one_that_starts_anew(cli: Cli, arguments: tuple[str, ...], stdin: str, code: int) -> None:
    forked = cli(*arguments, stdin=stdin)
    cli.new_process = True
    assert forked == cli(*arguments, stdin=stdin)
    assert forked.code == code


def test_call_forks_unless_imports_could_read_its_environment(cli: Cli) -> None:
    assert forks(cli.env | {"GAUGEPOST_REGIONS": "eu", "TERM": "dumb"})
    assert not forks(cli.env | {"LC_ALL": "C"})


def test_forked_call_reads_its_own_settings_in_its_own_folder(cli: Cli) -> None:
    (cli.folder / ".env").write_text("GAUGEPOST_NO_SUCH_SETTING=1\n")
    assert "GAUGEPOST_NO_SUCH_SETTING" in cli("jobs").err
    (cli.folder / ".env").unlink()
    assert cli("jobs").code == 0
    cli.environment["GAUGEPOST_REGIONS"] = "mars"
    assert "GAUGEPOST_REGIONS" in cli("jobs").err


def test_forked_call_that_does_not_end_is_killed(cli: Cli) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        call("status", "--watch", env=cli.env, folder=cli.folder, timeout=2)
