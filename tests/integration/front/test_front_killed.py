"""Workers, Redis and the gateway are killed while callers send: a 200 is a promise."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from gaugepost import Region
from gaugepost.ledger import JobView
from gaugepost.states import JobState
from gaugepost.verdict import Verdict
from support.hosts import FrontHost
from support.stack import kill
from support.wait import wait_until

CALLERS = 4
EACH = 40
PATIENCE = ",".join(["0.3s"] * 3 + ["1s"] * 30)


class Caller(threading.Thread):
    """Sends records and links, each until it is answered, as an integration with retries does."""

    def __init__(self, front: FrontHost, number: int) -> None:
        super().__init__(daemon=True)
        self._front, self._number = front, number
        self.promised: dict[str, str] = {}
        """Address → the job of its answer 200 or 202."""
        self.links: dict[str, Any] = {}

    def run(self) -> None:
        for turn in range(EACH):
            self._send(turn, f"{self._number}-{turn}@example.net")

    def _send(self, turn: int, email: str) -> None:
        path = "personal-link/" if turn % 2 else "records/"
        headers = {"Authorization": f"Bearer {self._front.key}", "Idempotency-Key": email, "Prefer": "wait=1"}
        body = {"configuration": "map", "record": {"Email": email}}
        while True:
            try:
                url = self._front.url("", "eu", path)
                answer = requests.put(url, json=body, headers=headers, timeout=30)
            except requests.RequestException:
                time.sleep(0.05)  # the gateway is down
                continue
            if answer.status_code in {200, 202}:
                self.promised[email] = answer.headers["Gaugepost-Job"]
                if answer.content and answer.status_code == 200:
                    self.links[email] = answer.json()["data"]["survey_link"]
                return
            assert answer.status_code == 503, answer.text
            time.sleep(0.05)  # Redis is down


def _break(front: FrontHost, round_: int) -> None:
    """Kill one part, and start it again."""
    match round_ % 3:
        case 0:
            kill(front.stack.processes[-1])
            front.stack.worker("eu")
        case 1:
            front.stack.redis.kill()
            front.stack.redis.start()
        case _:
            process = front.gateway.process
            assert process is not None
            process.kill()
            process.wait()
            front.gateway.__enter__()


@pytest.fixture
def own(tmp_path: Path) -> Any:
    with FrontHost(
        tmp_path, lease="10", connect_timeout="1", read_timeout="8", backoff__server_error=PATIENCE
    ) as front:
        front.stack.worker("eu")
        yield front


def test_job_of_each_answered_call_is_delivered_once(own: FrontHost) -> None:
    callers = [Caller(own, number) for number in range(CALLERS)]
    for caller in callers:
        caller.start()
    for round_ in range(6):
        before = sum(len(caller.promised) for caller in callers)
        wait_until(lambda: sum(len(caller.promised) for caller in callers) >= min(before + 12, CALLERS * EACH))  # noqa: B023
        _break(own, round_)
    for caller in callers:
        caller.join(120)
        assert not caller.is_alive()
    promised = {email: job for caller in callers for email, job in caller.promised.items()}
    assert len(promised) == CALLERS * EACH
    own.stack.beat()
    ledger = own.stack.producer.ledger(Region.EU)
    views: dict[str, JobView] = {}

    def all_ended() -> bool:
        views.update({one.id: one for one in ledger.read(list(promised.values())) if one})
        return len(views) == len(promised) and all(view.has_ended for view in views.values())

    wait_until(all_ended, 120, what=own.stack.undelivered)
    effects: dict[str, int] = {}
    for effect in own.sim.effects(region="eu"):
        effects[effect["body"]["Email"]] = effects.get(effect["body"]["Email"], 0) + 1
    for email, job_id in promised.items():
        view, times = views[job_id], effects.get(email, 0)
        verdicts = [attempt.verdict for attempt in view.history.attempts()]
        assert view.state is JobState.DELIVERED, (view.state, view.reason)
        assert times >= 1
        assert times == 1 or Verdict.LOST_ANSWER in verdicts, (email, times, verdicts)
    for caller in callers:
        for email, link in caller.links.items():
            assert (views[promised[email]].result or {}).get("survey_link") == link


def test_gateway_that_stops_answers_its_waiting_calls_202(own: FrontHost) -> None:
    own.sim.knobs(latency_ms={"personal_link": 5_000})
    answers: list[requests.Response] = []

    def send() -> None:
        headers = {"Authorization": f"Bearer {own.key}", "Prefer": "wait=60"}
        body = {"configuration": "map", "record": {"Email": "joe.doe@example.com"}}
        answers.append(requests.put(own.url("", "eu", "personal-link/"), json=body, headers=headers, timeout=60))

    waiting = threading.Thread(target=send)
    waiting.start()
    wait_until(lambda: own.stack.counts()["sending"] == 1)
    own.gateway.terminate()
    waiting.join(30)
    assert [answer.status_code for answer in answers] == [202]
    job_id = answers[0].headers["Gaugepost-Job"]
    wait_until(lambda: own.stack.producer.job(job_id).state is JobState.DELIVERED)


def test_front_whose_redis_is_away_answers_503_in_each_shape(own: FrontHost) -> None:
    own.gateway.key("crm2")
    bearer = {"Authorization": f"Bearer {own.key}"}
    with own.stack.redis.frozen():
        body: dict[str, Any] = {"configuration": "map", "record": {"Email": "joe.doe@example.com"}}
        link = requests.put(own.url("", "eu", "personal-link/"), json=body, headers=bearer, timeout=30)
        old = requests.post(
            own.url("", "eu", "v4.1/transactions/response.xml"), data={"Email": "a"}, headers=bearer, timeout=30
        )
        form = {"grant_type": "client_credentials"} | own.client("eu")
        token = requests.post(own.url("", "eu", "oauth2/token"), data=form, timeout=30)
    assert [one.status_code for one in (link, old, token)] == [503] * 3
    assert all(int(one.headers["Retry-After"]) >= 1 for one in (link, old, token))
    assert "message" in link.json()
    assert old.text.startswith("<Error><Message>")
    assert token.json()["error"] == "temporarily_unavailable"
