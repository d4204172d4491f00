"""What a log line may hold, whoever writes it and whatever was said to them."""

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
def test_each_event_is_one_line_of_json_whatever_it_tells() -> None:
    lines = run(
        "log.info('a\\nb', job='x\\n{}\\x1b[0m', url='redis://:hunter2@h', what=b'\\x1b')\n"
        "url = 'redis://:' + 'hunter2@h'\n"
        "try: raise OSError(url)\n"
        "except OSError: log.exception('fault')"
    )
    told = [json.loads(line) for line in lines]
    assert [one["event"] for one in told] == ["a?b", "fault"]
    assert (told[0]["url"], told[0]["job"]) == ("redis://:***@h", "x?{}?[0m")
    assert told[1]["exception"].splitlines()[-1] == "OSError: redis://:***@h"
    assert "hunter2" not in "".join(lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.starts_process
def test_an_event_has_its_level_and_its_time() -> None:
    (line,) = run("log.warning('rescued', jobs=5, configuration=None, who='Jürgen')")
    told = json.loads(line)
    moment = datetime.fromisoformat(told.pop("timestamp"))
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    assert told == {"event": "rescued", "level": "warning", "jobs": 5, "configuration": None, "who": "Jürgen"}


@pytest.mark.starts_process
@pytest.mark.parametrize(("level", "told"), [("info", ["b", "c"]), ("warning", ["c"]), ("debug", ["a", "b", "c"])])
def test_the_level_is_a_setting(level: str, told: list[str]) -> None:
    lines = run("log.debug('a'); log.info('b'); log.warning('c')", log_level=level)
    assert [json.loads(line)["event"] for line in lines] == told


@pytest.mark.starts_process
def test_people_get_words_without_colours_where_there_is_no_terminal() -> None:
    (line,) = run("log.info('attempt', job='j1', url='redis://:hunter2@h\\x1b')", log_format="text")
    assert re.match(r"\d\d:\d\d:\d\d info +attempt +job=j1 url=redis://:\*\*\*@h\?$", line)


@pytest.mark.starts_process
def test_lines_for_people_lead_with_event_region_and_verdict_in_columns() -> None:
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
def test_lines_of_a_part_that_serves_a_region_name_it() -> None:
    again = "from gaugepost.regions import Region; set_up_logs(Settings.load(), Region.AU)\n"
    (line,) = run(f"{again}log.warning('claim failed')", log_format="json")
    assert json.loads(line)["region"] == "au"
    (line,) = run(f"{again}log.warning('claim failed')", log_format="text")
    assert line[9:] == "warning  claim failed       au"


@pytest.mark.starts_process
def test_what_libraries_log_comes_as_json_and_scrubbed() -> None:
    lines = run(
        "logging.getLogger('celery.worker').error('cannot connect to %s', 'redis://:hunter2@h/0')\n"
        "logging.getLogger('kombu').info('chatter')"
    )
    (told,) = [json.loads(line) for line in lines]
    assert (told["event"], told["logger"], told["level"]) == (
        "cannot connect to redis://:***@h/0",
        "celery.worker",
        "error",
    )


@pytest.mark.starts_process
def test_what_a_library_writes_in_several_lines_is_one() -> None:
    (line,) = run("logging.getLogger('celery').error('cannot connect\\r\\n\\nTrying again  (1/None)\\n')")
    told = json.loads(line)
    assert told["event"] == "cannot connect Trying again (1/None)"
    assert told.keys() == {"event", "logger", "level", "timestamp"}


@pytest.mark.starts_process
def test_what_is_printed_or_warned_of_or_crashes_is_json_too() -> None:
    lines = run(
        "import sys, threading, warnings\n"
        "print('a\\n\\n  b redis://:hunter2@h'); sys.stderr.write('not ended')\n"
        "warnings.warn('who runs this as root')\n"
        "def crash(): raise OSError('redis://:' + 'hunter2@h')\n"
        "thread = threading.Thread(target=crash); thread.start(); thread.join(); crash()",
        ends_with=1,
    )
    told = [json.loads(line) for line in lines]
    assert [(one["event"], one["logger"]) for one in told[:2]] == [("a", "stdout"), ("b redis://:***@h", "stdout")]
    assert told[2]["event"].endswith("UserWarning: who runs this as root")
    assert told[2]["logger"] == "py.warnings"
    assert [one["event"] for one in told[3:]] == ["crashed", "crashed", "not ended"]
    assert told[3]["exception"].endswith("OSError: redis://:***@h")
    assert told[4]["level"] == "critical"


@pytest.mark.starts_process
def test_people_see_what_is_printed_as_it_is() -> None:
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
def test_traceback_shows_no_data_that_an_exception_quotes(kind: str, quoting: Callable[[], object]) -> None:
    with pytest.raises(Exception, match=r"joe\.doe") as first:
        quoting()
    last = OSError("the disk is full")
    last.__cause__ = first.value
    told = format_fault((OSError, last, None))
    assert "joe.doe" not in told
    before, after = told.split("\n\nThat led to:\n\n")[-2:]
    assert before.splitlines()[-1].endswith(kind)
    assert after.splitlines()[-1] == "OSError: the disk is full"


@pytest.mark.parametrize(
    "error", [StoreFull("Redis is full"), RedisError("Redis is full"), TimeoutError("Redis is full")]
)
def test_traceback_shows_what_redis_the_system_and_we_say(error: BaseException) -> None:
    assert format_fault((type(error), error, None)).endswith(f"{type(error).__name__}: Redis is full")


def test_traceback_of_exceptions_that_led_to_each_other_ends() -> None:
    first, second = KeyError(1), KeyError(2)
    first.__cause__, second.__cause__ = second, first
    assert format_fault((KeyError, first, None)).count("KeyError") == 2


@pytest.mark.starts_process
def test_a_log_that_cannot_be_written_is_no_fault() -> None:
    code = (
        "import sys, structlog; from gaugepost.settings import Settings\n"
        "from gaugepost_workers.observers.logs import set_up_logs\n"
        "set_up_logs(Settings.load()); structlog.get_logger().info('attempt'); print('goes on', file=sys.__stdout__)"
    )
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, text=True, check=True)
    assert done.stdout == "goes on\n"
