"""Erase one person in a hundred while workers deliver: no byte of them is left, and all other jobs arrive once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet

from gaugepost import Region
from gaugepost.ledger.erasing import Person
from support.all_values import all_values, marks_in
from support.factories import record
from support.ledger_truth import look
from support.redis_server import RedisServer
from support.stack import Stack
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from gaugepost.jobs import JobBase

PEOPLE, ERASED = 3_000, 30  # 10,000 and 100 pass too, in 36 s each
EACH = PEOPLE // ERASED


def email(n: int) -> str:
    return f"Person{n:05d}.gone@example.com"


def phone(n: int) -> str:
    return f"+49 30 77{n:05d}8"


def name(n: int) -> str:
    return f"Josephine{n:05d}"


def job_of(n: int) -> JobBase:
    fields = {"Email": email(n), "Phone": phone(n), "First name": name(n)}
    return record(configuration="multi-object", record=fields, idempotency_key=email(n), labels=(email(n),))


def marks_of(n: int) -> tuple[str, ...]:
    return email(n), phone(n), phone(n).replace(" ", ""), name(n)


OPEN = ("queued", "waiting", "sending", "parked")


def is_rewriting(info: Any) -> bool:
    return bool(info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"])


def files_of(stack: Stack) -> bytes:
    """Return the bytes of the snapshot and of the append-only file, both written anew."""
    with stack.redis.client() as client:
        client.bgrewriteaof()
        wait_until(lambda: not is_rewriting(client.info("persistence")))
        client.save()
        assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"
    paths = [*stack.folder.rglob("*.rdb"), *stack.folder.rglob("*.aof")]
    assert {path.suffix for path in paths} == {".rdb", ".aof"}
    return b"".join(path.read_bytes() for path in paths)


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_no_byte_of_erased_people_is_left(tmp_path: Path, *, encrypted: bool) -> None:
    given: dict[str, Any] = {"data_key": Fernet.generate_key().decode() if encrypted else None}
    server = RedisServer(tmp_path, "--rdbcompression", "no", "--auto-aof-rewrite-percentage", "0")
    gone = range(0, PEOPLE, EACH)
    with Stack(tmp_path, redis=server, **given) as stack, server.client() as client:
        ids = [one.id for one in stack.producer.enqueue_many([job_of(n) for n in range(PEOPLE)])]
        assert marks_in(all_values(client), marks_of(0)) == ([] if encrypted else [email(0), phone(0), name(0)])
        ledger = stack.producer.ledger(Region.EU)
        halfway = len(gone) // 2
        receipts = [ledger.erasure.erase(Person(email(n)), 0, "a test") for n in gone[:halfway]]
        stack.worker()
        wait_until(lambda: ledger.summary().get("delivered", 0), within=120)
        receipts += [ledger.erasure.erase(Person(email(n), phone(n)), 0, "a test") for n in gone[halfway:]]
        assert [receipt.jobs for receipt in receipts] == [1] * ERASED
        others = [one for n, one in enumerate(ids) if n not in gone]
        wait_until(lambda: not any(ledger.summary().get(state, 0) for state in OPEN), within=240)
        assert client.scard(ledger.keys["erasing"]) == 0
        effects = stack.keys()
        assert [effects.get(one, 0) for one in others] == [1] * len(others)
        assert max((effects.get(ids[n], 0) for n in gone), default=0) <= 1
        marks = [mark for n in gone for mark in marks_of(n)]
        assert marks_in(all_values(client), marks) == []
        assert marks_in(files_of(stack), marks) == []
        assert look(client).faults == []
        hashes = [one for n in gone for one in stack.producer.settings.cipher().references("email", email(n).lower())]
        assert client.exists(*[ledger.keys.of("ref:", one) for one in hashes]) == 0
