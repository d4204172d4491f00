"""The examples of docs/languages.md run against a real gateway, a real worker and the simulator."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway import GatewayProcess
from support.languages import FOLDER, command, environment, examples
from support.stack import Stack
from support.wait import wait_until

LINK = r"https://survey\.eu\.customergauge\.com/r/[0-9a-f]+"
EMAIL, KEY = "joe.doe@example.com", "ticket-991"
NOT_COUNTED = re.compile(
    r"\s*$|\s*[\])}]|import |using .*;$|package |\s+\"[\w/]+\"$|<\?php$"
    r"|class \w+ {|\s*public static void main|func main"
)
"""Blank lines, ends of blocks, and what each file of a language must have."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Run a gateway, and a worker that delivers to the simulator."""
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder) as stack, GatewayProcess(folder, stack.redis.url) as gateway:
        stack.worker("eu")
        yield gateway


@pytest.fixture(scope="module")
def key(gateway: GatewayProcess) -> str:
    return gateway.key("examples")


def run(example: Path, folder: Path, gateway: GatewayProcess, key: str, **changes: str) -> tuple[int, str, str]:
    """Run an example as a user does; return its exit code and what it prints."""
    env = environment(folder, GATEWAY_URL=gateway.url, GATEWAY_KEY=key)
    done = subprocess.run(
        command(example, folder, **changes), cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("example", examples("link"))
def test_example_prints_the_link(example: Path, gateway: GatewayProcess, key: str, tmp_path: Path) -> None:
    code, out, err = run(example, tmp_path, gateway, key)
    assert code == 0, err
    [link] = re.findall(LINK, out)
    if example.suffix != ".go":
        assert out.strip() == link
    again = gateway.call("GET", f"/v1/jobs?key={KEY}&region=eu", key).json()["jobs"]
    assert len(again) == 1, "all languages send the same job, and it is stored once"


@pytest.mark.parametrize("example", examples("link"))
def test_example_without_a_link_in_time_prints_the_state(
    example: Path, gateway: GatewayProcess, key: str, tmp_path: Path
) -> None:
    changes = {EMAIL: "no-campaign@example.com", KEY: f"of-{example.parent.name}", "wait=30": "wait=1"}

    def prints_the_state() -> bool:
        """Run it. A busy worker may need longer than its wait; the next run finds the same job."""
        code, out, _ = run(example, tmp_path, gateway, key, **changes)
        assert code == 0
        return re.fullmatch(r'parked|\{.*"state":"(parked|queued)".*\}', out.strip()) is not None

    wait_until(prints_the_state)


@pytest.mark.parametrize("example", examples("link"))
def test_example_with_a_wrong_key_fails_and_says_so(example: Path, gateway: GatewayProcess, tmp_path: Path) -> None:
    code, out, err = run(example, tmp_path, gateway, "gp_wrong")
    assert code != 0
    assert re.search("this key is not known|401 Unauthorized", out + err)


@pytest.mark.parametrize("example", examples("link"))
@pytest.mark.parametrize("missing", ["GATEWAY_URL", "GATEWAY_KEY"])
def test_example_without_its_variable_names_it(example: Path, tmp_path: Path, missing: str) -> None:
    given = {"GATEWAY_URL": "http://127.0.0.1:9", "GATEWAY_KEY": "gp_a"}
    del given[missing]
    env = {name: value for name, value in environment(tmp_path, **given).items() if name != missing}
    done = subprocess.run(
        command(example, tmp_path), cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert re.search(rf"set [\w ]*{missing}|{missing}: (parameter not set|unbound variable)", done.stdout + done.stderr)


@pytest.mark.parametrize("example", sorted(FOLDER.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_example_has_at_most_twelve_lines(example: Path) -> None:
    lines = example.read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if not NOT_COUNTED.match(line)]) <= 12
    assert max(map(len, lines)) <= 120
