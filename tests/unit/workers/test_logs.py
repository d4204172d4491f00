"""What a log line may hold, whoever writes it and whatever was said to them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from structlog.typing import EventDict

from gaugepost_workers.logs import scrub


def scrubbed(**event: object) -> EventDict:
    return scrub(None, "info", dict(event))


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "a\nforged: line", "\x07", "\u202eabc", "\r", "\x9b2J", "\u2028", "\0"]
)
def test_nothing_that_a_terminal_obeys_is_written(text: str) -> None:
    assert scrubbed(error=text)["error"].isprintable()
    assert scrubbed(event=text)["event"].isprintable()


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@host:6379/0", "rediss://joe:hunter2@host", "sentinel://:hunter2@a:1,b:2/m/0 is away"]
)
def test_no_password_of_a_url_is_written(url: str) -> None:
    told = scrubbed(error=f"cannot reach {url}", exception=f"Traceback\n  {url}\nError: {url}")
    assert "hunter2" not in str(told)
    assert "host" in str(told) or "b:2" in str(told)


def test_a_traceback_keeps_its_lines_and_what_is_no_text_is_left_alone() -> None:
    assert scrubbed(exception="a\n\x1b[1mb", jobs=5, ok=True) == {"exception": "a\n?[1mb", "jobs": 5, "ok": True}


def test_each_event_is_one_line_of_json_whatever_it_tells() -> None:
    code = (
        "import structlog; from gaugepost_workers.logs import set_up_logs; set_up_logs();"
        "log = structlog.get_logger(); log.info('a\\nb', job='x\\n{}\\x1b[0m', url='redis://:hunter2@h')\n"
        "try:\n  secret = 'hunter2'; raise ValueError('redis://:hunter2@h')\n"
        "except ValueError: log.exception('fault')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [one["event"] for one in told] == ["a?b", "fault"]
    assert "locals" not in done.stderr
    assert done.stderr.count("hunter2") == 0
