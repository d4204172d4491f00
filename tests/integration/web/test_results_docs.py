"""The answers of docs/results.md are those of a real gateway, worker and simulator, but for ids and times."""

from __future__ import annotations

import json
import re
from pathlib import Path

from support.deployment import ROOT
from support.gateway import GatewayProcess
from support.stack import Stack

PAGE = (ROOT / "docs/results.md").read_text(encoding="utf-8")
JOB = {"kind": "personal_link", "region": "eu", "configuration": "9dd58237-2d41-4c55-9f7e-6b2a3f0c1d11"}
CHANGING = re.compile(r'\d{4}-\d\d-\d\dT[\d:.+]+|[0-9a-f]{32}|/[0-9a-f]{12}(?=")|"ms": \d+|"number_customergauge": \d+')


def without_what_changes(text: str) -> str:
    return CHANGING.sub("", json.dumps(json.loads(text)))


def test_answers_for_ended_jobs_are_as_the_page_shows(tmp_path: Path) -> None:
    shown = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    answers = []
    with Stack(tmp_path) as stack, GatewayProcess(tmp_path, stack.redis.url) as gateway:
        stack.worker("eu")
        key = gateway.key()
        for email, name in (("joe.doe@example.com", "ticket-991"), ("duplicate@example.com", "ticket-992")):
            made = gateway.post(key, JOB | {"record": {"Email": email}, "idempotency_key": name})
            answers.append(gateway.call("GET", f"{made.headers['Location']}?wait=60", key).text)
    assert [without_what_changes(text) for text in shown] == [without_what_changes(text) for text in answers]
