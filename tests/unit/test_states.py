from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import redis

from gaugepost.keys import FIXED
from gaugepost.ledger.scripts import load_scripts
from gaugepost.states import ENDED, OPEN, TRANSITIONS, JobState, mermaid

if TYPE_CHECKING:
    from collections.abc import Callable

MOVE = """
local job = load(ARGV[1])
local moved = change_state(job, ARGV[2])
flush()
return {moved and 1 or 0, redis.call('HGET', job.key, 'state')}
"""


@pytest.fixture
def move(redis_url: str) -> Callable[[JobState, JobState], tuple[int, str]]:
    """Ask the Lua library to move a job from one state to another."""
    with redis.Redis.from_url(redis_url) as client:
        library = load_scripts()["cancel"].rpartition("-- Cancel jobs")[0]
        script = client.register_script(library + MOVE)

        def ask(source: JobState, target: JobState) -> tuple[int, str]:
            client.flushall()
            fields = {"state": str(source), "at": 1, "reason": "x", "verdict": "duplicate"}
            client.hset("gaugepost:{eu}:job:a", mapping=fields)
            done, state = script(keys=["gaugepost:{eu}:"], args=["a", str(target)])
            return done, state.decode()

        return ask


@pytest.mark.parametrize(("source", "target"), [*itertools.product(JobState, JobState)], ids=str)
def test_lua_makes_exactly_the_changes_that_transitions_lists(
    move: Callable[[JobState, JobState], tuple[int, str]], source: JobState, target: JobState
) -> None:
    legal = target in TRANSITIONS[source]
    assert move(source, target) == ((1, target) if legal else (0, source))


def test_every_state_has_its_row_and_no_state_leads_to_itself() -> None:
    assert set(TRANSITIONS) == set(JobState)
    assert not any(state in targets for state, targets in TRANSITIONS.items())


def test_every_state_is_reachable_from_the_two_initial_states() -> None:
    reached = {JobState.QUEUED, JobState.WAITING}
    for _ in JobState:
        reached |= {target for state in reached for target in TRANSITIONS[state]}
    assert reached == set(JobState)


def test_ended_and_open_states_together_are_all_states() -> None:
    assert set(JobState) == ENDED | OPEN
    assert not ENDED & OPEN
    assert {state for state in JobState if not TRANSITIONS[state]} == ENDED - {JobState.DEAD}


def test_nothing_that_was_sent_can_be_cancelled_or_expire() -> None:
    for state in (JobState.SENDING, JobState.UNKNOWN, JobState.DEAD, JobState.DELIVERED):
        assert not TRANSITIONS[state] & {JobState.CANCELLED, JobState.EXPIRED}


def test_each_ended_state_has_a_place_in_redis() -> None:
    assert {str(state) for state in ENDED} | {"unknown", "parked", "waiting"} <= set(FIXED)


def test_the_diagram_shows_every_change_and_every_end() -> None:
    lines = mermaid().splitlines()
    assert lines[0] == "stateDiagram-v2"
    drawn = {line.strip() for line in lines[1:]}
    assert {f"{source} --> {target}" for source, targets in TRANSITIONS.items() for target in targets} <= drawn
    assert {
        "[*] --> queued",
        "[*] --> waiting",
        "[*] --> parked",
        "delivered --> [*]",
        "cancelled --> [*]",
        "expired --> [*]",
    } <= drawn
    assert len(drawn) == sum(map(len, TRANSITIONS.values())) + 6
