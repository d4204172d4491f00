"""The process: its start, its output, and its end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from gaugepost_simulator import Simulator, SimulatorError

Start = Callable[..., "subprocess.Popen[str]"]
END_SECONDS = 60
HOLDER = """
import os, sys
from gaugepost_simulator import Simulator
sim = Simulator().start()
print(sim.url, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command line; kill it at the end if it still runs."""
    running: list[subprocess.Popen[str]] = []

    def popen(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "gaugepost_simulator", *arguments]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield popen
    for process in running:
        process.kill()
        process.communicate()


def url_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().removeprefix("simulator listening on ").strip()


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/_simulator/health", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_prints_its_url_and_ends_on_a_signal(start: Start, number: signal.Signals) -> None:
    process = start("--port", "0", "--host", "127.0.0.1")
    url = url_of(process)
    assert url.startswith("http://127.0.0.1:")
    assert requests.get(f"{url}/_simulator/health", timeout=30).status_code == 200
    process.send_signal(number)
    _, errors = process.communicate(timeout=END_SECONDS)
    assert (process.returncode, errors) == (0, "")


def test_process_ends_while_a_client_waits_for_a_slow_answer(start: Start) -> None:
    process = start("--port", "0")
    url = url_of(process)
    requests.post(f"{url}/_simulator/faults", json={"fault": "slow", "seconds": 3600}, timeout=30)
    with pytest.raises(requests.Timeout):
        requests.post(f"{url}/auth/eu/oauth2/token", timeout=0.2)
    process.terminate()
    _, errors = process.communicate(timeout=END_SECONDS)
    assert (process.returncode, errors) == (0, "")


def test_settings_of_a_client_are_written_before_the_first_line(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "simulator.env"
    process = start("--env-file", str(file), "--print-env")
    url = url_of(process)
    lines = file.read_text("utf-8").splitlines()
    assert f"GAUGEPOST_AUTH_URL={url}/auth/{{region}}" in lines
    assert f"GAUGEPOST_IMPORTS_URL={url}/imports/{{region}}" in lines
    assert f"GAUGEPOST_API_URL={url}/api/{{region}}" in lines
    assert "GAUGEPOST_AU_API_KEY=au-key" in lines
    assert process.stdout
    assert [process.stdout.readline().strip() for _ in lines] == lines


def test_knobs_come_from_a_file(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "knobs.json"
    file.write_text(json.dumps({"credentials": {"eu": {"client_id": "own"}}, "upload_interval": 2}), "utf-8")
    knobs = requests.get(f"{url_of(start('--knobs', str(file)))}/_simulator/knobs", timeout=30).json()
    assert knobs["upload_interval"] == 2
    assert knobs["credentials"]["eu"] == {"client_id": "own", "client_secret": "eu-secret", "api_key": "eu-key"}


@pytest.mark.parametrize(("text", "named"), [('{"uploads": 1}', "uploads"), ("{", "knobs.json"), ("[]", "knobs")])
def test_a_wrong_knobs_file_stops_the_start(start: Start, tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "knobs.json"
    file.write_text(text, "utf-8")
    process = start("--knobs", str(file))
    output, errors = process.communicate(timeout=END_SECONDS)
    assert (process.returncode, output) == (2, "")
    assert named in errors
    assert "Traceback" not in errors


def test_used_port_is_reported_without_a_traceback(start: Start, sim: Simulator) -> None:
    process = start("--port", sim.url.rpartition(":")[2])
    _, errors = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 2
    assert errors.startswith("cannot listen on 127.0.0.1:")
    assert "Traceback" not in errors
    with pytest.raises(SimulatorError):
        Simulator(port=int(sim.url.rpartition(":")[2])).start()


def test_verbose_logs_each_request(start: Start) -> None:
    process = start("--verbose")
    requests.post(f"{url_of(process)}/auth/eu/oauth2/token", timeout=30)
    process.terminate()
    _, errors = process.communicate(timeout=END_SECONDS)
    assert errors == "eu POST /auth/eu/oauth2/token 400\n"


def test_process_ends_when_its_parent_was_killed() -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    url = holder.stdout.readline().strip()
    assert requests.get(f"{url}/_simulator/health", timeout=30).status_code == 200
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    deadline = time.monotonic() + END_SECONDS
    while answers(url):
        assert time.monotonic() < deadline


def test_with_block_stops_its_simulator_and_stop_can_be_repeated() -> None:
    with Simulator() as own:
        url = own.url
    own.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)


def test_the_environment_of_a_client_leads_to_this_simulator(sim: Simulator) -> None:
    env = sim.env()
    form = {
        "grant_type": "client_credentials",
        "client_id": env["GAUGEPOST_US_CLIENT_ID"],
        "client_secret": env["GAUGEPOST_US_CLIENT_SECRET"],
    }
    url = env["GAUGEPOST_AUTH_URL"].format(region="us")
    assert requests.post(f"{url}/oauth2/token", data=form, timeout=30).status_code == 200
