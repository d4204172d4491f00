"""Run the README's Python and commands on a real Redis and the simulator: they print what the page shows."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path

import pytest

from gaugepost.settings import PREFIX, Settings
from support.redis_server import free_port
from support.stack import Stack
from support.wait import wait_until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ (.*)$", "\n".join(block for kind, block in BLOCKS if kind == "console"), re.MULTILINE)
GAUGEPOST = str(Path(sys.executable).with_name("gaugepost"))

pytestmark = pytest.mark.starts_process


def test_ratios_are_those_of_the_last_measurement() -> None:
    results = (ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8")
    measured = {f"{float(ratio):.2g}" for ratio in re.findall(r"\| ([\d.]+) \S \[", results)}
    shown = re.findall(r"\*\*([\d.]+) \S\*\*", README)
    assert len(shown) > 3
    assert set(shown) <= measured
    assert [rate for rate in re.findall(r"([\d,]+) jobs a second", README) if f" {rate}/s " not in results] == []


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as stack:
        yield stack


def run_python(stack: Stack) -> str:
    """Run the README's Python as a service would; return what it prints."""
    [code] = [block for kind, block in BLOCKS if kind == "python"]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=stack.folder, env=stack.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_prints_what_the_page_shows(stack: Stack) -> None:
    kinds = [kind for kind, _ in BLOCKS]
    shown = BLOCKS[kinds.index("python") + 1]
    assert shown[0] == "", "the output follows the Python"
    pattern = re.sub("[0-9a-f]{32}", "[0-9a-f]{32}", re.escape(shown[1]))
    assert re.fullmatch(pattern, run_python(stack))


@pytest.mark.parametrize("command", [line for line in COMMANDS if not line.startswith("gaugepost ")])
def test_command_around_gaugepost_is_right(command: str) -> None:
    match shlex.split(command, comments=True):
        case ["pip", "install", what]:
            assert re.fullmatch(r"gaugepost(\[[\w,]+\])?", what)
            extras = set(re.findall(r"\w+", what.removeprefix("gaugepost")))
            assert extras <= set(metadata("gaugepost").get_all("Provides-Extra") or ())
        case ["export", *assignments]:
            known = {f"{PREFIX}{name.upper()}{end}" for name in Settings.model_fields for end in ("", "_FILE")}
            assert {one.partition("=")[0] for one in assignments} <= known
        case ["make", target, *variables]:
            assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert all(f"$({one.partition('=')[0]})" in (ROOT / "Makefile").read_text() for one in variables)
        case other:
            pytest.fail(f"no test runs this command of the README: {other}")


def test_commands_of_gaugepost_work_in_the_order_of_the_page(stack: Stack) -> None:
    job_id = run_python(stack).split()[0]
    flower_port = free_port()
    for line in [line for line in COMMANDS if line.startswith("gaugepost ")]:
        words = [job_id if word == "ID" else word for word in shlex.split(line, comments=True)[1:]]
        match words:
            case ["worker" | "beat", *_]:
                stack.run(GAUGEPOST, *words)
            case ["flower"]:
                stack.run(GAUGEPOST, "flower", "--port", str(flower_port))
            case _:
                done = stack.cli(*words)
                assert done.returncode == 0, (line, done.stdout, done.stderr)
    assert len(stack.processes) == 3, "worker, beat and Flower"
    wait_until(lambda: stack.producer.job(job_id).state == "delivered", what="the README's worker delivers its job")
    wait_until(lambda: beat_ticks(stack), what="the README's beat ticks")
    wait_until(lambda: flower_says_ok(flower_port), what="Flower answers")


def beat_ticks(stack: Stack) -> bool:
    rows = [json.loads(line) for line in stack.cli("status", "--json").stdout.splitlines()]
    return all(row["beat_age_s"] is not None for row in rows) and rows != []


def flower_says_ok(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=5) as answer:
            return bool(answer.read() == b"OK")
    except OSError:
        return False
