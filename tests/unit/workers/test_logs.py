"""What log lines may contain, from our code and from libraries."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from pydantic import TypeAdapter
from redis import RedisError
from structlog.typing import EventDict

from gaugepost.errors import StoreFull
from gaugepost_workers.observers.logs import format_fault, scrub


def scrubbed(**event: object) -> EventDict:
    return scrub(None, "info", dict(event))


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "a\nforged: line", "\x07", "\u202eabc", "\r", "\x9b2J", "\u2028", "\0"]
)
def test_control_characters_are_not_logged(text: str) -> None:
    assert scrubbed(error=text)["error"].isprintable()
    assert scrubbed(event=text)["event"].isprintable()


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@host:6379/0", "rediss://joe:hunter2@host", "sentinel://:hunter2@a:1,b:2/m/0 is away"]
)
def test_passwords_in_urls_are_not_logged(url: str) -> None:
    logged = scrubbed(error=f"cannot reach {url}", exception=f"Traceback\n  {url}\nError: {url}")
    assert "hunter2" not in str(logged)
    assert "host" in str(logged) or "b:2" in str(logged)


def test_traceback_keeps_its_lines_and_numbers_stay_numbers() -> None:
    assert scrubbed(exception="a\n\x1b[1mb", jobs=5, ok=True) == {"exception": "a\n?[1mb", "jobs": 5, "ok": True}


def run(code: str, *, ends_with: int = 0, **environment: str) -> list[str]:
    """Run code in a process that has set up its logs; return the lines it logged."""
    start = (
        "import logging, structlog; from gaugepost.settings import Settings\n"
        "from gaugepost_workers.observers.logs import set_up_logs\n"
        "set_up_logs(Settings.load()); log = structlog.get_logger()\n"
    )
    settings = {f"GAUGEPOST_{name.upper()}": value for name, value in environment.items()}
    done = subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, check=False, env=os.environ | settings
    )
    assert (done.returncode, done.stdout) == (ends_with, ""), done.stderr
    return done.stderr.splitlines()


@pytest.mark.starts_process
def test_each_event_is_one_clean_line_of_json() -> None:
    lines = run(
        "log.info('a\\nb', job='x\\n{}\\x1b[0m', url='redis://:hunter2@h', what=b'\\x1b')\n"
        "url = 'redis://:' + 'hunter2@h'\n"
        "try: raise OSError(url)\n"
        "except OSError: log.exception('fault')"
    )
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == ["a?b", "fault"]
    assert (events[0]["url"], events[0]["job"]) == ("redis://:***@h", "x?{}?[0m")
    assert events[1]["exception"].splitlines()[-1] == "OSError: redis://:***@h"
    assert "hunter2" not in "".join(lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.starts_process
def test_event_has_its_level_and_its_time() -> None:
    (line,) = run("log.warning('rescued', jobs=5, configuration=None, who='Jürgen')")
    event = json.loads(line)
    moment = datetime.fromisoformat(event.pop("timestamp"))
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    assert event == {"event": "rescued", "level": "warning", "jobs": 5, "configuration": None, "who": "Jürgen"}


@pytest.mark.starts_process
@pytest.mark.parametrize(("level", "logged"), [("info", ["b", "c"]), ("warning", ["c"]), ("debug", ["a", "b", "c"])])
def test_the_level_is_a_setting(level: str, logged: list[str]) -> None:
    lines = run("log.debug('a'); log.info('b'); log.warning('c')", log_level=level)
    assert [json.loads(line)["event"] for line in lines] == logged


@pytest.mark.starts_process
def test_text_has_no_colours_without_a_terminal() -> None:
    (line,) = run("log.info('attempt', job='j1', url='redis://:hunter2@h\\x1b')", log_format="text")
    assert re.match(r"\d\d:\d\d:\d\d info +attempt +job=j1 url=redis://:\*\*\*@h\?$", line)


@pytest.mark.starts_process
def test_text_lines_start_with_event_region_and_verdict_in_columns() -> None:
    lines = run(
        "log.info('attempt', job='j1', region='eu', n=1, verdict='refused_credentials')\n"
        "log.warning('tick not sent', error='Redis is away')\n"
        "log.info('attempt', verdict='delivered', region='us', status=200, configuration=None)",
        log_format="text",
    )
    assert [line[9:] for line in lines] == [
        "info     attempt            eu  refused_credentials job=j1 n=1",
        "warning  tick not sent                              error='Redis is away'",
        "info     attempt            us  delivered           status=200",
    ]


@pytest.mark.starts_process
def test_lines_name_the_region_that_the_process_serves() -> None:
    again = "from gaugepost.regions import Region; set_up_logs(Settings.load(), Region.AU)\n"
    (line,) = run(f"{again}log.warning('claim failed')", log_format="json")
    assert json.loads(line)["region"] == "au"
    (line,) = run(f"{again}log.warning('claim failed')", log_format="text")
    assert line[9:] == "warning  claim failed       au"


@pytest.mark.starts_process
def test_lines_of_libraries_are_clean_json() -> None:
    lines = run(
        "logging.getLogger('celery.worker').error('cannot connect to %s', 'redis://:hunter2@h/0')\n"
        "logging.getLogger('kombu').info('chatter')"
    )
    (event,) = [json.loads(line) for line in lines]
    assert (event["event"], event["logger"], event["level"]) == (
        "cannot connect to redis://:***@h/0",
        "celery.worker",
        "error",
    )


@pytest.mark.starts_process
def test_several_lines_of_a_library_become_one() -> None:
    (line,) = run("logging.getLogger('celery').error('cannot connect\\r\\n\\nTrying again  (1/None)\\n')")
    event = json.loads(line)
    assert event["event"] == "cannot connect Trying again (1/None)"
    assert event.keys() == {"event", "logger", "level", "timestamp"}


@pytest.mark.starts_process
def test_prints_warnings_and_crashes_are_json_too() -> None:
    lines = run(
        "import sys, threading, warnings\n"
        "print('a\\n\\n  b redis://:hunter2@h'); sys.stderr.write('not ended')\n"
        "warnings.warn('who runs this as root')\n"
        "def crash(): raise OSError('redis://:' + 'hunter2@h')\n"
        "thread = threading.Thread(target=crash); thread.start(); thread.join(); crash()",
        ends_with=1,
    )
    events = [json.loads(line) for line in lines]
    assert [(event["event"], event["logger"]) for event in events[:2]] == [
        ("a", "stdout"),
        ("b redis://:***@h", "stdout"),
    ]
    assert events[2]["event"].endswith("UserWarning: who runs this as root")
    assert events[2]["logger"] == "py.warnings"
    assert [event["event"] for event in events[3:]] == ["crashed", "crashed", "not ended"]
    assert events[3]["exception"].endswith("OSError: redis://:***@h")
    assert events[4]["level"] == "critical"


@pytest.mark.starts_process
def test_prints_stay_as_they_are_in_text_logs() -> None:
    lines = run("import sys; sys.stderr.write('a word\\n'); raise ValueError('x')", log_format="text", ends_with=1)
    assert (lines[0], lines[-1]) == ("a word", "ValueError")


ADDRESS = "joe.doe@example.com"


@pytest.mark.parametrize(
    ("kind", "quoting"),
    [
        ("KeyError", lambda: {}[ADDRESS]),
        ("ValueError", lambda: int(ADDRESS)),
        ("ValidationError", lambda: TypeAdapter(int).validate_python(ADDRESS)),
        ("requests.exceptions.ConnectionError", lambda: requests.get(f"http://127.0.0.1:1/{ADDRESS}", timeout=1)),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_traceback_does_not_show_data_of_exceptions(kind: str, quoting: Callable[[], object]) -> None:
    with pytest.raises(Exception, match=r"joe\.doe") as first:
        quoting()
    last = OSError("the disk is full")
    last.__cause__ = first.value
    text = format_fault((OSError, last, None))
    assert "joe.doe" not in text
    before, after = text.split("\n\nThat led to:\n\n")[-2:]
    assert before.splitlines()[-1].endswith(kind)
    assert after.splitlines()[-1] == "OSError: the disk is full"


@pytest.mark.parametrize(
    "error", [StoreFull("Redis is full"), RedisError("Redis is full"), TimeoutError("Redis is full")]
)
def test_traceback_shows_texts_of_redis_the_system_and_gaugepost(error: BaseException) -> None:
    assert format_fault((type(error), error, None)).endswith(f"{type(error).__name__}: Redis is full")


def test_traceback_of_a_cycle_of_causes_ends() -> None:
    first, second = KeyError(1), KeyError(2)
    first.__cause__, second.__cause__ = second, first
    assert format_fault((KeyError, first, None)).count("KeyError") == 2


@pytest.mark.starts_process
def test_full_disk_does_not_fail_a_log_call() -> None:
    code = (
        "import sys, structlog; from gaugepost.settings import Settings\n"
        "from gaugepost_workers.observers.logs import set_up_logs\n"
        "set_up_logs(Settings.load()); structlog.get_logger().info('attempt'); print('continues', file=sys.__stdout__)"
    )
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, text=True, check=True)
    assert done.stdout == "continues\n"
