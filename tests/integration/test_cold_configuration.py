"""Check that a new configuration whose requests hang leaves the sender threads to other configurations."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from gaugepost import Record, Region
from support.stack import Stack, kill
from support.wait import wait_until

HANGS_S = 120  # longer than the read timeout: none of its jobs has an answer during the test
PATIENT = {"read_timeout": 60}


def records(configuration: str, number: int) -> list[Record]:
    return [
        Record(region=Region.EU, configuration=configuration, record={"Email": f"p{n}@example.net"})
        for n in range(number)
    ]


def enqueue(stack: Stack, configuration: str, number: int) -> None:
    list(stack.producer.enqueue_many(records(configuration, number)))


def delivered(stack: Stack) -> Counter[str]:
    """Count the effects by configuration. A hanging request has its effect at once, and its answer much later."""
    return Counter(effect["configuration"] for effect in stack.sim.effects(kind="record"))


def test_other_configuration_goes_out_while_a_cold_one_hangs(tmp_path: Path) -> None:
    with Stack(tmp_path, **PATIENT) as stack:
        cold = f"slow-{HANGS_S}s"
        enqueue(stack, cold, 2_000)
        enqueue(stack, "contact", 2_000)
        stack.worker()
        stack.beat()
        wait_until(lambda: delivered(stack)["contact"] == 2_000, what="the other configuration is delivered")
        assert delivered(stack)[cold] == 1


def test_several_cold_configurations_cost_one_thread_each(tmp_path: Path) -> None:
    with Stack(tmp_path, **PATIENT) as stack:
        cold = [f"slow-{HANGS_S + n}s" for n in range(3)]
        for configuration in cold:
            enqueue(stack, configuration, 500)
        enqueue(stack, "contact", 1_000)
        workers = [stack.worker(concurrency=4), stack.worker(concurrency=4)]
        stack.beat()
        wait_until(lambda: delivered(stack)["contact"] == 1_000, what="the other configuration is delivered")
        assert all(1 <= delivered(stack)[configuration] <= len(workers) for configuration in cold)


def test_jobs_behind_a_first_one_are_sent_when_its_worker_dies(tmp_path: Path) -> None:
    with Stack(tmp_path, connect_timeout=1, read_timeout=4, lease=6, backoff__server_error="0.3s,0.3s") as stack:
        stack.sim.fault("slow", endpoint="records", seconds=HANGS_S, times=1)
        stack.beat()
        doomed = stack.worker()
        enqueue(stack, "contact", 300)
        wait_until(lambda: delivered(stack)["contact"] == 1)
        kill(doomed)
        stack.worker()
        wait_until(lambda: stack.counts().get("delivered") == 300)
