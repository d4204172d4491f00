"""Users of the console in the ledger: stored once by name, their sessions, links, and failed attempts to sign in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gaugepost.ledger.users import FREE_OF_NAME, IDLE_MS, LIFE_MS, Role, Session, User, UserCalls
from support.ledger_harness import Bench

ANN = User("ann", Role.OPERATOR, "$argon2id$…", 1_000, "root")


@pytest.fixture
def calls(bench: Bench) -> UserCalls:
    return UserCalls(bench.ledger.keys)


def found(bench: Bench, calls: UserCalls, session: str = "s", *, is_use: bool = False) -> Session | None:
    return bench.ledger._run(calls.session(session, is_use=is_use))


def test_name_is_given_once_and_a_repeated_call_is_no_second(bench: Bench) -> None:
    users = bench.ledger.users
    other = replace(ANN, password="other")
    assert [users.put(ANN), users.put(ANN), users.put(other)] == [True, True, False]
    assert users.read() == (ANN,)
    assert not users.put(replace(ANN, name="bob"), replace=True)


def test_session_has_the_role_that_the_user_has_now(bench: Bench, calls: UserCalls) -> None:
    run = bench.ledger._run
    assert run(calls.start("s", "ann")) == ""
    bench.ledger.users.put(ANN)
    assert [run(calls.start("s", "ann")), run(calls.start("s", "ann"))] == ["ann", "ann"]
    assert found(bench, calls) == Session("ann", Role.OPERATOR)
    assert found(bench, calls, "other") is None


def test_idle_session_ends(bench: Bench, calls: UserCalls) -> None:
    bench.ledger.users.put(ANN)
    bench.ledger._run(calls.start("s", "ann"))
    bench.clock.go(IDLE_MS - 1_000)
    assert found(bench, calls, is_use=True)
    bench.clock.go(IDLE_MS - 1_000)
    assert found(bench, calls, is_use=False)
    bench.clock.go(2_000)
    assert found(bench, calls) is None


def test_session_in_use_ends_by_its_age(bench: Bench, calls: UserCalls) -> None:
    bench.ledger.users.put(ANN)
    bench.ledger._run(calls.start("s", "ann"))
    for _ in range(LIFE_MS // (IDLE_MS - 1_000)):
        bench.clock.go(IDLE_MS - 1_000)
        assert found(bench, calls, is_use=True)
    bench.clock.go(IDLE_MS - 1_000)
    assert found(bench, calls, is_use=True) is None


@pytest.mark.parametrize("end", ["sign_out", "password", "removed", "added again"])
def test_all_sessions_of_a_person_end_at_once(bench: Bench, calls: UserCalls, end: str) -> None:
    users, run = bench.ledger.users, bench.ledger._run
    users.put(ANN)
    users.put(replace(ANN, name="bob"))
    for session, name in (("s", "ann"), ("t", "ann"), ("u", "bob")):
        run(calls.start(session, name))
    bench.clock.go(10)
    match end:
        case "sign_out":
            users.sign_out("ann")
        case "password":
            assert users.put(replace(ANN, password="other"), replace=True)
        case "removed":
            assert users.drop("ann")
        case _:
            assert users.drop("ann")
            assert users.put(ANN)
    assert [found(bench, calls, session) is None for session in "stu"] == [True, True, False]
    if end != "removed":
        bench.clock.go(10)
        assert run(calls.start("new", "ann")) == "ann"
        assert found(bench, calls, "new")


def test_ended_session_does_not_come_back(bench: Bench, calls: UserCalls) -> None:
    bench.ledger.users.put(ANN)
    bench.ledger._run(calls.start("s", "ann"))
    assert [bench.ledger._run(calls.end("s")) for _ in range(2)] == [True, False]
    assert found(bench, calls) is None


def test_link_signs_in_once_and_a_repeated_call_is_no_second_use(bench: Bench, calls: UserCalls) -> None:
    users, run = bench.ledger.users, bench.ledger._run
    assert not users.put_link("l", "ann", 60_000)
    users.put(ANN)
    assert users.put_link("l", "ann", 60_000)
    assert [run(calls.start(session, link="l")) for session in ("s", "s", "t")] == ["ann", "ann", ""]
    assert users.put_link("late", "ann", 60_000)
    bench.clock.go(60_001)
    assert run(calls.start("u", link="late")) == ""


def test_link_of_a_removed_user_starts_no_session(bench: Bench, calls: UserCalls) -> None:
    users = bench.ledger.users
    users.put(ANN)
    users.put_link("l", "ann", 60_000)
    users.drop("ann")
    assert bench.ledger._run(calls.start("s", link="l")) == ""


def test_person_of_a_provider_needs_no_user_and_signs_out(bench: Bench, calls: UserCalls) -> None:
    assert bench.ledger._run(calls.start("s", "zoe@example.com", role=Role.ADMIN)) == "zoe@example.com"
    assert found(bench, calls) == Session("zoe@example.com", Role.ADMIN)
    bench.clock.go(10)
    bench.ledger.users.sign_out("zoe@example.com")
    assert found(bench, calls) is None


def test_failed_attempts_wait_ever_longer_until_one_works(bench: Bench, calls: UserCalls) -> None:
    def attempt(name: str = "ann") -> int:
        return bench.ledger._run(calls.try_sign_in(name, "10.0.0.1"))

    assert [attempt() for _ in range(FREE_OF_NAME)] == [0] * FREE_OF_NAME
    waits = []
    for _ in range(8):
        assert attempt() == 0
        waits.append(attempt())
        bench.clock.go(waits[-1])
    assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
    assert attempt("bob") == 0
    bench.ledger._run(calls.sign_in_worked("ann", "10.0.0.1"))
    assert [attempt() for _ in range(FREE_OF_NAME)] == [0] * FREE_OF_NAME


def test_address_that_tries_many_names_waits(bench: Bench, calls: UserCalls) -> None:
    answers = [bench.ledger._run(calls.try_sign_in(f"name {number}", "10.0.0.1")) for number in range(30)]
    assert answers[:20] == [0] * 20
    assert answers[-1] > 0
    assert bench.ledger._run(calls.try_sign_in("name 1", "10.0.0.2")) == 0
