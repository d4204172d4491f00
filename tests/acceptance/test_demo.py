"""Run `gaugepost demo` in an empty folder: check what it shows, and that no file or process remains."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from gaugepost.states import JobState
from gaugepost_ops.demo import scenarios
from support.browser import chromium
from support.wait import wait_until

DEMO = [sys.executable, "-m", "gaugepost_ops", "demo"]
DEADLINE_S = 180
SIGN_IN = re.compile(r"sign in +(http\S+)\n\Z")
"""The last line of a kept demo."""
FLOWER = re.compile(r"Flower +(http://127\.0\.0\.1:\d+/tasks)")
TITLES = [
    case.title
    for case in (
        *scenarios.KINDS,
        scenarios.DELETE,
        *scenarios.SCHEDULED,
        scenarios.OVER_HTTP,
        *scenarios.FAILURES,
        scenarios.UNREACHABLE,
        scenarios.UNAUTHENTICATED,
        *scenarios.THROTTLED,
    )
] + [scenarios.REFUSED_CREDENTIALS.title]


def parts_of(folder: Path) -> list[str]:
    """List the command lines of all processes that run in a folder. A dead process has none."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder / ".gaugepost"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return [command for command in found if command]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder with a `.env` that would break gaugepost. Fail if a file or a process remains there."""
    home, folder = tmp_path / "home", tmp_path / "checkout"
    home.mkdir()
    folder.mkdir()
    (folder / ".env").write_text("GAUGEPOST_REDIS_URL=redis://nowhere.invalid\nGAUGEPOST_NO_SUCH_NAME=1\n")
    yield folder
    wait_until(lambda: not parts_of(folder), DEADLINE_S, "parts are still running")
    assert sorted(path.name for path in folder.iterdir()) == [".env", ".gaugepost"]
    # One that is killed while it checks a file cannot take the copy away that it checks, nor Python's tempfile the file
    # by which it tries whether it may write.
    tried = {path for path in home.iterdir() if path.is_file() and path.read_bytes() in {b"", b"blat"}}
    assert not [path for path in home.iterdir() if path not in tried and not path.name.startswith("gaugepost-")]


@pytest.fixture
def environment(place: Path) -> dict[str, str]:
    """Return an environment with many settings that the demo must ignore."""
    home = str(place.parent / "home")
    theirs = {"GAUGEPOST_API_URL": "https://api.eu.customergauge.com", "GAUGEPOST_EU_API_KEY": "a-real-key"}
    others = {"CELERY_BROKER_URL": "redis://nowhere.invalid", "FLOWER_PORT": "1", "http_proxy": "http://127.0.0.1:9"}
    return {**os.environ, **theirs, **others, "HOME": home, "TMPDIR": home, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def start(place: Path, environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start demos; end those that still run."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        output = (place.parent / "output").open("w")
        with output:
            demo = subprocess.Popen([*DEMO, *options], cwd=place, env=environment, stdout=output, stderr=output)
        started.append(demo)
        return demo

    yield start
    for demo in started:
        demo.terminate()
        demo.wait(DEADLINE_S)


def output_of(place: Path) -> str:
    return (place.parent / "output").read_text()


def test_it_shows_every_job_as_the_policy_says_and_leaves_nothing_behind(
    place: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    assert start().wait(DEADLINE_S) == 0, output_of(place)
    output = output_of(place)
    marked = "\n".join(line for line in output.splitlines() if line.startswith("✓"))
    assert [title for title in TITLES if title not in re.sub(r" +", " ", marked)] == []
    assert "✗" not in output
    assert "17 of 20 rows wait: canary: 3 of 3 not clean" in output
    assert "17 of 17 rows cancelled" in output
    assert "revoked@example.net is erased: 1 job stripped" in output
    assert "All is as policy.md says." in output
    assert "GAUGEPOST_API_URL" in output, "it names the settings that it ignores"
    assert "a-real-key" not in output
    assert max(map(len, marked.splitlines())) <= 100
    assert parts_of(place) == []


@pytest.mark.needs("chromium", "curl")
def test_kept_demo_works_in_shell_and_browser_until_ctrl_c(
    place: Path, environment: dict[str, str], start: Callable[..., subprocess.Popen[str]]
) -> None:
    demo = start("--keep")
    wait_until(lambda: SIGN_IN.search(output_of(place)) or demo.poll() is not None, DEADLINE_S, "it is not kept")
    settings = place / ".gaugepost/demo/environment"
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    password = re.search(r"redis://:([^@]+)@", settings.read_text())
    assert password is not None
    assert not [command for command in parts_of(place) if password[1] in command]
    second_demo_is_refused(place, environment)
    pasted_line_of_curl_sends_a_job_each_time(place, environment)
    jobs = jobs_on_the_command_line(place, environment)
    assert len(jobs) >= 20
    [address], [link] = FLOWER.findall(output_of(place)), SIGN_IN.findall(output_of(place))
    with chromium() as browser:
        console_shows_all_states(browser.new_page(), link)
        flower_lists(browser.new_page(), address, jobs)
    assert not signs_in(link), "a link signs in once"
    demo.send_signal(signal.SIGINT)
    assert demo.wait(DEADLINE_S) == 0
    assert output_of(place).endswith("All processes have ended.\n")
    assert parts_of(place) == []
    assert not settings.exists()


def second_demo_is_refused(place: Path, environment: dict[str, str]) -> None:
    second = subprocess.run(DEMO, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "another demo runs" in second.stderr


def pasted_line_of_curl_sends_a_job_each_time(place: Path, environment: dict[str, str]) -> None:
    output = output_of(place)
    [line] = re.findall(r"a job for it +(curl .+)\n", output)
    assert f"{line}\n" in output.partition("✓")[0], "it is shown as a step, too"
    [key], [address] = re.findall(r"its key +(gp_.+)\n", output), re.findall(r"gateway +(http://.+)/docs\n", output)
    assert key in line
    assert f"{address}/v1/jobs" in line
    assert not [command for command in parts_of(place) if key in command]
    ids = set()
    for _ in range(2):
        pasted = subprocess.run(
            ["sh", "-c", line], cwd=place, env=environment, capture_output=True, text=True, check=False
        )
        assert (pasted.returncode, pasted.stderr) == (0, "")
        job = json.loads(pasted.stdout)
        assert (job["kind"], job["duplicate"]) == ("record", False)
        ids.add(job["id"])
        asked = line.partition(" -d ")[0].replace("/v1/jobs", f"/v1/jobs/{job['id']}?wait=60")
        shown = subprocess.run(["sh", "-c", asked], cwd=place, env=environment, capture_output=True, check=True)
        found = json.loads(shown.stdout)
        assert (found["state"], found["source"]) == ("delivered", "demo")
    assert len(ids) == 2


def jobs_on_the_command_line(place: Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    """List the jobs by the line that the demo prints, without the environment of this checkout."""
    (place / ".env").write_text("")
    [command] = re.findall(r"command line +(.+)\n", output_of(place))
    looked = subprocess.run(
        ["sh", "-c", f"{command} --json --limit 500"],
        cwd=place,
        env=environment | {"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert looked.returncode == 0, looked.stderr
    return [json.loads(line) for line in looked.stdout.splitlines()]


def signs_in(link: str) -> bool:
    address, _, secret = link.partition("?link=")
    with requests.Session() as session:
        session.trust_env = False
        headers = {"Sec-Fetch-Site": "same-origin"}
        answer = session.post(address, {"link": secret}, headers=headers, allow_redirects=False)
    return answer.status_code == 303


def console_shows_all_states(page: Page, link: str) -> None:
    """Sign in to the console by the link, and find jobs in every state."""
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="What is wrong")).to_be_visible()
    shown = {row.inner_text().split()[0] for row in page.locator(".facts tr:not(.zero):not(.detail)").all()}
    assert shown == {"queued", "waiting", "scheduled", "sending", "parked", "unknown", "dead", "delivered"}
    for state in JobState:
        page.goto(f"{link.partition('/sign-in')[0]}/jobs?state={state}")
        expect(page.locator("tbody tr", has_text=str(state)).first).to_be_visible()


def flower_lists(page: Page, address: str, jobs: list[dict[str, Any]]) -> None:
    """Open Flower in a browser, and find a delivered, a parked and a dead job by its buttons."""
    page.goto(address)
    for button, badge, state in (
        ("Succeeded", "SUCCESS", "delivered"),
        ("Retried", "RETRY", "parked"),
        ("Failed", "FAILURE", "dead"),
    ):
        page.get_by_text(button, exact=True).click()
        ids = re.compile("|".join(job["id"] for job in jobs if job["state"] == state))
        expect(page.locator("tbody tr", has_text=ids).first).to_contain_text(badge)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_no_part_outlives_it_however_it_ends(
    place: Path, start: Callable[..., subprocess.Popen[str]], number: signal.Signals, code: int
) -> None:
    demo = start()
    wait_until(
        lambda: sum("demo_process" in command for command in parts_of(place)) == 6,
        DEADLINE_S,
        "the parts did not start",
    )
    demo.send_signal(number)
    assert demo.wait(DEADLINE_S) == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_an_import_has_the_same_exit_code(
    place: Path, environment: dict[str, str], start: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    """An import may use `exec`, as dataclasses do. Python ends otherwise after an interrupt there."""
    interrupted = f"exec('os.kill(os.getpid(), {number:d})\\nwhile True: pass')"
    (place.parent / "sitecustomize.py").write_text(f"import fcntl, os\nfcntl.flock = lambda *_: {interrupted}\n")
    environment["PYTHONPATH"] = str(place.parent)
    assert start().wait(DEADLINE_S) == 130
    assert output_of(place) == "interrupted\n"


def test_demo_after_a_killed_one_starts_empty_and_without_gateway(
    place: Path, environment: dict[str, str], start: Callable[..., subprocess.Popen[str]]
) -> None:
    first = start()
    wait_until(lambda: "one job of every kind" in output_of(place), DEADLINE_S, "it did not get so far")
    first.kill()
    (place.parent / "sitecustomize.py").write_text("import sys\nsys.modules['uvicorn'] = None\n")
    environment["PYTHONPATH"] = str(place.parent)
    assert start().wait(DEADLINE_S) == 0, output_of(place)
    output = output_of(place)
    assert "pip install 'gaugepost[web]'" in output
    assert "curl" not in output
    assert "✓ Flower answers" in output
    assert "gateway answers" not in output
