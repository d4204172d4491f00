"""Check the way of a job through the states, and the sentence on top of its page."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from gaugepost import Region
from gaugepost.ledger import Hold, JobView
from gaugepost.ledger.history import History
from gaugepost.states import TRANSITIONS, JobState
from gaugepost.verdict import Verdict
from gaugepost_ops.web.console.job_story import path_of, sentence
from gaugepost_ops.web.console.state_diagram import diagram

_S = JobState
ATTEMPT = {"event": "attempt", "n": 1, "at": 1, "ms": 1}
DIED = ATTEMPT | {"verdict": "invalid_value", "message": "The Email is wrong"}
FAILED = ATTEMPT | {"verdict": "server_error"}
LOST = ATTEMPT | {"verdict": "lost_answer"}
REPLAYED = {"event": "replayed", "at": 1}


def view(state: JobState, *entries: dict[str, Any], **more: Any) -> JobView:
    job = {"kind": "record"} | more.pop("job", {})
    return JobView("0" * 32, Region.EU, state, job, enqueued_at=1, history=History(entries), **more)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (view(_S.QUEUED), "queued"),
        (view(_S.WAITING), "waiting"),
        (view(_S.PARKED, job={"deliver_at": "x"}), "parked"),
        (view(_S.DELIVERED, ATTEMPT | {"verdict": "delivered"}), "queued sending delivered"),
        (view(_S.DELIVERED, ATTEMPT, job={"kind": "file"}), "waiting sending delivered"),
        (view(_S.PARKED, FAILED), "queued sending parked"),
        (view(_S.DEAD, DIED, REPLAYED, DIED), "queued sending dead queued sending dead"),
        (view(_S.QUEUED, FAILED, REPLAYED), "queued sending parked queued"),
        (view(_S.DEAD, LOST, {"event": "settled", "at": 1, "as": "dead"}), "queued sending unknown dead"),
        (view(_S.CANCELLED, {"event": "cancelled", "at": 1}), "queued cancelled"),
    ],
)
def test_way_has_the_states_of_the_history(of: JobView, expected: str) -> None:
    entries = [one | {"verdict": one.get("verdict", "delivered")} for one in of.history.entries]
    made = view(of.state, *entries, job=of.job)
    assert " ".join(path_of(made)) == expected


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("number", range(4))
def test_way_has_only_legal_changes_and_ends_where_the_job_is(state: JobState, number: int) -> None:
    path = path_of(view(state, *[FAILED] * number))
    assert path[-1] is state
    assert all(to in TRANSITIONS[source] for source, to in pairwise(path))


@pytest.mark.parametrize("state", JobState)
def test_every_state_has_a_sentence_and_its_place_in_the_diagram(state: JobState) -> None:
    of = view(state, DIED)
    assert sentence(of).text.endswith(".")
    drawn = diagram(path_of(of))
    assert f'"node now state-{state}"' in drawn
    assert drawn.count('class="edge') == sum(map(len, TRANSITIONS.values()))


def test_sentence_names_the_hold_and_its_end() -> None:
    hold = Hold("", "<b>", "bob", 1)
    found = sentence(view(_S.QUEUED, hold=hold, until=5))
    assert found.text == "It waits, because the region eu is held: <b>."
    assert (found.until, found.to_do) == (5, "Opened by bob. Lift the hold when its reason is over.")


@pytest.mark.parametrize(("state", "words"), [(_S.DELIVERED, "delivered"), (_S.DEAD, "not delivered")])
def test_settled_job_is_said_to_be_settled_by_a_person(state: JobState, words: str) -> None:
    settled = {"event": "settled", "at": 1, "as": str(state)}
    assert sentence(view(state, LOST, LOST, settled)).text.endswith(f"a person settled it as {words}.")
    assert "settled" not in sentence(view(state, LOST, settled, REPLAYED, DIED)).text


def test_dead_job_names_verdict_and_words() -> None:
    assert sentence(view(_S.DEAD, DIED, verdict=Verdict.INVALID_VALUE)).text == (
        "It died: invalid value (The Email is wrong)."
    )


def test_job_whose_link_was_lost_is_not_said_to_arrive_twice() -> None:
    found = sentence(view(_S.UNKNOWN, LOST, reason="link lost"))
    assert "twice" not in found.text
    assert found.to_do == "Settle it as delivered."


def test_long_message_is_cut_and_ends_with_one_full_stop() -> None:
    said = [sentence(view(_S.DEAD, DIED | {"message": text})).text for text in ("It is wrong.", "x" * 500)]
    assert said == ["It died: invalid value (It is wrong).", f"It died: invalid value ({'x' * 200} …)."]
