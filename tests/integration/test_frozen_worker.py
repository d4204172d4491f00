"""Freeze a worker while its jobs wait for a token: it sends nothing under an expired lease."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from gaugepost import CloseLoop, Record, Region
from support.stack import Stack
from support.wait import wait_until

CASES, CHANGES = 6, 3
SHORT = {"connect_timeout": 1, "read_timeout": 8, "lease": 10, "backoff__server_error": ",".join(["0.3s"] * 20)}
TOKEN_TAKES_S = 7  # within the read timeout


def changes() -> list[CloseLoop]:
    return [
        CloseLoop(region=Region.EU, number_customergauge=str(number), status="open", note=str(n))
        for number in range(CASES)
        for n in range(CHANGES)
    ]


def committed(stack: Stack) -> dict[str, list[str]]:
    """Return the changes of each case in the order in which they took effect."""
    cases: dict[str, list[str]] = {str(number): [] for number in range(CASES)}
    for effect in stack.sim.effects(kind="close_loop"):
        cases[effect["body"]["number_customergauge"]].append(effect["body"]["note"])
    return cases


def deliver_one_record(stack: Stack) -> None:
    record = Record(region=Region.EU, configuration="multi-object", record={"Email": "joe@example.net"})
    stack.producer.enqueue(record).result(timeout=60)


def freeze_until_another_has_delivered_all(stack: Stack, sleeper: subprocess.Popen[bytes]) -> None:
    """Freeze the worker while its jobs wait for a token; resume it when another one has delivered them."""
    stack.sim.fault("slow", endpoint="token", seconds=TOKEN_TAKES_S, times=1)
    stack.producer.enqueue_many(changes())
    wait_until(lambda: stack.sim.faults()[0]["hits"] == 1, what="a token was asked for")
    wait_until(lambda: stack.counts()["sending"] == CASES, within=TOKEN_TAKES_S, what="the worker holds all cases")
    sleeper.send_signal(signal.SIGSTOP)
    assert stack.counts()["delivered"] <= 1, "the token came before the freeze: nothing is proved"
    other = stack.worker()
    wait_until(lambda: set(map(len, committed(stack).values())) == {CHANGES}, what="another one has delivered all")
    wait_until(lambda: not stack.counts().get("sending"))
    other.terminate()
    assert other.wait(30) == 0
    sleeper.send_signal(signal.SIGCONT)
    deliver_one_record(stack)  # after all jobs that the worker held


@pytest.mark.parametrize("token", ["the first one", "a fresh one after a 401"])
def test_thawed_worker_sends_no_change_that_others_delivered(tmp_path: Path, token: str) -> None:
    with Stack(tmp_path, **SHORT) as stack:
        stack.beat()
        sleeper = stack.worker()
        if token != "the first one":
            deliver_one_record(stack)
            stack.sim.revoke()
        freeze_until_another_has_delivered_all(stack, sleeper)
        assert committed(stack) == {str(number): [str(n) for n in range(CHANGES)] for number in range(CASES)}
