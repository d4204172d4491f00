"""Make jobs for tests of the console: dead ones of several causes, with texts that attack a page."""

from __future__ import annotations

from typing import Any

from gaugepost import PersonalLink, Producer, Record
from gaugepost.ledger import Settlement
from gaugepost.transitions import Attempt, Dead, Decision, Delivered, Transition, Unknown
from gaugepost.verdict import Verdict
from support.console import Person
from support.wait import wait_until
from support.worker_ledger import worker_ledger

SCRIPT = "<script>alert(1)</script>"
WHEN = 1_795_305_600_000


def attempt(verdict: Verdict, message: str = "", fields: tuple[str, ...] = ()) -> Attempt:
    errors = {name: [f"The {name} is wrong"] for name in fields}
    return Attempt(n=1, at=WHEN, ms=12, status=400, verdict=verdict, message=message, field_errors=errors)


def put(producer: Producer, number: int = 1, **more: Any) -> list[str]:
    given = {"region": "eu", "configuration": "crm", "record": {"Email": "joe@example.com"}} | more
    return [producer.enqueue(Record(**given)).id for _ in range(number)]


def put_link(producer: Producer, email: str = "joe@example.com", **more: Any) -> str:
    return producer.enqueue(PersonalLink(region="eu", configuration="crm", record={"Email": email}, **more)).id


def settle(producer: Producer, transition: Transition, *attempts: Attempt) -> list[str]:
    """Claim all jobs that are ready, and settle each so."""
    ledger, done = worker_ledger(producer), []
    while claimed := ledger.claim("test", f"call-{len(done)}", 200).jobs:
        ledger.settle([Settlement(one, Decision(transition), attempts) for one in claimed])
        done += [one.id for one in claimed]
    return done


def die(producer: Producer, number: int = 1, verdict: Verdict = Verdict.INVALID_VALUE, **more: Any) -> list[str]:
    """Enqueue jobs that die of this verdict."""
    message, fields = more.pop("message", "The Email is wrong"), more.pop("fields", ("Email",))
    put(producer, number, **more)
    return settle(producer, Dead(verdict), attempt(verdict, message, fields))


def lose(producer: Producer) -> str:
    """Enqueue a job whose answer is lost."""
    put(producer)
    [job_id] = settle(producer, Unknown("lost_answer"), attempt(Verdict.LOST_ANSWER))
    return job_id


def deliver(producer: Producer) -> str:
    put(producer)
    [job_id] = settle(producer, Delivered())
    return job_id


def stuck(person: Person, *wanted: str) -> str:
    """Return the page when a reading in the background has ended, and has found all of these."""
    found: list[str] = []

    def has_them() -> bool:
        found.append(person.get("/stuck").text)
        is_whole = not any(text in found[-1] for text in ("read so far", "is being read"))
        return is_whole and "Last read <time" in found[-1] and all(one in found[-1] for one in wanted)

    wait_until(has_them, what=lambda: found[-1])
    return found[-1]
