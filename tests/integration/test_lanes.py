"""Check that status changes of one case arrive in the order enqueued, whatever happens to the workers.

The order is that in which the simulator committed them. A change whose answer was lost may be there twice, but then no
other change of its case is between the two.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gaugepost import CloseLoop, JobState, Record, Region
from support.stack import Stack, kill
from support.wait import wait_until

SHORT = {"connect_timeout": 1, "read_timeout": 4, "lease": 6}
# EndedLease answers must not make a change give up, nor wait for minutes.
PATIENT = {"backoff__server_error": ",".join(["0.3s"] * 20)}
STATUSES = ("open", "progress", "closed")


def changes(cases: int, each: int) -> list[CloseLoop]:
    """Make `each` changes of each case, one case after another; the note is the number of the change, from 0."""
    return [
        CloseLoop(region=Region.EU, number_customergauge=str(number), status=STATUSES[n % 3], note=str(n))
        for n, number in itertools.product(range(each), range(1, cases + 1))
    ]


def committed(stack: Stack) -> dict[str, list[int]]:
    """Return each case's changes in the order of their commit; a change that was sent again at once is listed once."""
    cases: dict[str, list[int]] = defaultdict(list)
    for effect in stack.sim.effects(kind="close_loop"):
        cases[effect["body"]["number_customergauge"]].append(int(effect["body"]["note"]))
    return {number: [n for n, _ in itertools.groupby(order)] for number, order in cases.items()}


def every_doubled_one_says_why(stack: Stack) -> None:
    for job_id in (job_id for job_id, times in stack.keys().items() if times > 1):
        verdicts = [attempt.verdict for attempt in stack.producer.job(job_id).history.attempts()]
        assert "lost_answer" in verdicts, "sent twice, and its record does not say why"


def test_case_lanes_keep_order_while_workers_die_and_answers_are_lost(
    tmp_path: Path,
) -> None:
    seed = int(os.environ.get("SEED", "0")) or random.randrange(1, 1_000_000)
    print(f"SEED={seed}")  # noqa: T201 - to run it again
    dice = random.Random(seed)
    with Stack(tmp_path, **SHORT, **PATIENT) as stack:
        stack.sim.knobs(latency_ms={"all": 150})
        stack.sim.fault("cut_after_commit", endpoint="close_loop", probability=0.02, seed=seed)
        stack.sim.fault("cut_before_commit", endpoint="close_loop", probability=0.02, seed=seed + 1)
        stack.sim.fault("status", endpoint="close_loop", code=503, probability=0.02, seed=seed + 2)
        workers = [stack.worker() for _ in range(3)]
        stack.beat()
        list(stack.producer.enqueue_many(changes(200, 10)))
        for kills, effects in enumerate((200, 600, 1000, 1400, 1700)):
            wait_until(lambda few=effects: stack.sim.state()["effects"] >= few)
            assert stack.counts()["sending"] > 0, f"kill {kills} came too late to prove anything"
            doomed = dice.randrange(len(workers))
            kill(workers[doomed])
            workers[doomed] = stack.worker()
        wait_until(lambda: stack.counts()["delivered"] == 2_000, within=150, what="all are delivered")
        assert committed(stack) == {str(number): list(range(10)) for number in range(1, 201)}
        assert sum(times > 1 for times in stack.keys().values()) > 0, "no answer was lost: nothing was proved"
        every_doubled_one_says_why(stack)


def test_worker_suspended_past_its_leases_sends_nothing_others_did(tmp_path: Path) -> None:
    with Stack(tmp_path, **SHORT, **PATIENT) as stack:
        stack.sim.knobs(latency_ms={"close_loop": 800})
        sleeper = stack.worker(concurrency=2)
        stack.beat()
        list(stack.producer.enqueue_many(changes(20, 3)))
        # In the middle of an exchange, while it holds jobs that it has not begun.
        wait_until(lambda: (now := stack.counts())["delivered"] >= 4 and now["sending"] > 2)
        sleeper.send_signal(signal.SIGSTOP)
        assert stack.counts()["sending"] > 2, "it holds no job that it has not begun: nothing is proved"
        other = stack.worker()
        wait_until(lambda: stack.counts()["delivered"] == 60)
        kill(other)
        sleeper.send_signal(signal.SIGCONT)
        last = Record(region=Region.EU, configuration="multi-object", record={"Email": "last@example.net"})
        stack.producer.enqueue(last).result(timeout=60)  # behind all jobs that the suspended worker held
        assert committed(stack) == {str(number): [0, 1, 2] for number in range(1, 21)}
        every_doubled_one_says_why(stack)


def test_case_lane_continues_after_a_dead_cancelled_or_expired_change(
    tmp_path: Path,
) -> None:
    with Stack(tmp_path, **SHORT) as stack:
        ledger, enqueue = stack.producer.ledger(Region.EU), stack.producer.enqueue
        refusal = {"code": 422, "body": {"errors": {"status": ["no"]}}, "times": 1}
        stack.sim.fault("status", endpoint="close_loop", contains="doomed@example.net", **refusal)
        special = {
            0: {"assignee": "doomed@example.net"},
            2: {"expires_at": datetime.now(UTC) + timedelta(seconds=1)},
        }
        ledger.hold("", "all of it is enqueued first", "a test")
        doomed, cancelled, expiring, *rest = (
            enqueue(change.model_copy(update=special.get(n, {}))) for n, change in enumerate(changes(3, 3))
        )
        assert cancelled.cancel()
        stack.beat()
        workers = [stack.worker(), stack.worker()]
        wait_until(lambda: expiring.state() is JobState.EXPIRED)
        ledger.resume("")
        wait_until(lambda: all(job.state() is JobState.DELIVERED for job in rest))
        assert doomed.state() is JobState.DEAD
        kill(workers[0])
        assert ledger.replay([doomed.id]) == [(JobState.QUEUED, True)]
        doomed.result(timeout=60)
        assert committed(stack) == {"1": [1, 2, 0], "2": [1, 2], "3": [1, 2]}
