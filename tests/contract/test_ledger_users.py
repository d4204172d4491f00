"""Users of the console in the ledger: stored once by name, their sessions, links, and failed attempts to sign in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import redis

from gaugepost.ledger.users import FREE_OF_NAME, IDLE_MS, LIFE_MS, PROVIDER_LIFE_MS, Role, Session, User, UserCalls
from support.ledger_harness import Bench
from support.redis_server import running_redis

if TYPE_CHECKING:
    from pathlib import Path

ANN = User("ann", Role.OPERATOR, "$argon2id$…", 1_000, "root")


@pytest.fixture
def calls(bench: Bench) -> UserCalls:
    return UserCalls(bench.ledger.keys)


def found(bench: Bench, calls: UserCalls, session: str = "s", *, is_use: bool = False) -> Session | None:
    [one] = bench.ledger._run(calls.sessions([session], is_use=is_use))
    return one


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


ENDS = ["sign_out", "password", "removed", "added again"]


def end_all(bench: Bench, end: str) -> None:
    """End all sessions of ann in one of the ways."""
    users = bench.ledger.users
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


@pytest.mark.parametrize("end", ENDS)
def test_all_sessions_of_a_person_end_at_once(bench: Bench, calls: UserCalls, end: str) -> None:
    users, run = bench.ledger.users, bench.ledger._run
    users.put(ANN)
    users.put(replace(ANN, name="bob"))
    for session, name in (("s", "ann"), ("t", "ann"), ("u", "bob")):
        run(calls.start(session, name))
    end_all(bench, end)
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


@pytest.mark.parametrize("end", ENDS)
def test_links_end_with_all_sessions_of_their_user(bench: Bench, calls: UserCalls, end: str) -> None:
    users, run = bench.ledger.users, bench.ledger._run
    users.put(ANN)
    users.put_link("l", "ann", 60_000)
    end_all(bench, end)
    assert [run(calls.user_of_link("l")), run(calls.start("s", link="l"))] == ["", ""]
    if end != "removed":
        bench.clock.go(10)
        assert users.put_link("new", "ann", 60_000)
        assert run(calls.start("s", link="new")) == "ann"


def test_link_says_whom_it_signs_in_until_it_is_used(bench: Bench, calls: UserCalls) -> None:
    bench.ledger.users.put(ANN)
    bench.ledger.users.put_link("l", "ann", 60_000)
    run = bench.ledger._run
    assert [run(calls.user_of_link(link)) for link in ("l", "l", "other")] == ["ann", "ann", ""]
    run(calls.start("s", link="l"))
    assert run(calls.user_of_link("l")) == ""


def test_session_of_a_password_that_was_replaced_meanwhile_does_not_start(bench: Bench, calls: UserCalls) -> None:
    bench.ledger.users.put(ANN)
    assert bench.ledger.users.put(replace(ANN, password="other"), replace=True)
    bench.clock.go(10)
    start = calls.start("s", "ann", password=ANN.password)
    assert bench.ledger._run(start) == ""
    assert bench.ledger._run(calls.start("s", "ann", password="other")) == "ann"


def test_person_of_a_provider_needs_no_user_and_signs_out(bench: Bench, calls: UserCalls) -> None:
    assert bench.ledger._run(calls.start("s", "zoe@example.com", role=Role.ADMIN)) == "zoe@example.com"
    assert found(bench, calls) == Session("zoe@example.com", Role.ADMIN)
    bench.clock.go(10)
    bench.ledger.users.sign_out("zoe@example.com")
    assert found(bench, calls) is None
    assert not [name for name in bench.client.scan_iter() if b"zoe" in name]


def test_session_of_a_provider_ends_after_half_a_day_of_use(bench: Bench, calls: UserCalls) -> None:
    bench.ledger._run(calls.start("s", "zoe", role=Role.ADMIN))
    for _ in range(4):
        bench.clock.go(PROVIDER_LIFE_MS // 4 - 1)
        assert found(bench, calls, is_use=True)
    bench.clock.go(4)
    assert found(bench, calls, is_use=True) is None


def test_person_of_a_provider_never_has_the_name_of_a_user(bench: Bench, calls: UserCalls) -> None:
    users, run = bench.ledger.users, bench.ledger._run
    assert run(calls.start("s", "ann", role=Role.ADMIN)) == "ann"
    users.put(ANN)
    assert found(bench, calls) is None
    assert run(calls.start("t", "ann", role=Role.ADMIN)) == ""


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


@pytest.mark.parametrize(
    ("address", "is_one"),
    [("2001:db8:1:2:{}::1", True), ("2001:db8:1:{}::1", False), ("::ffff:10.0.0.{}", False), ("fe80::{}%eth0", True)],
)
def test_network_of_an_ipv6_address_counts_as_one_address(
    bench: Bench, calls: UserCalls, address: str, *, is_one: bool
) -> None:
    tries = [calls.try_sign_in(f"name {number}", address.format(number)) for number in range(10, 40)]
    waits = [bench.ledger._run(one) for one in tries]
    assert (waits[-1] > 0) == is_one


def test_name_that_many_addresses_guess_waits(bench: Bench, calls: UserCalls) -> None:
    waits = [bench.ledger._run(calls.try_sign_in("ann", f"10.0.0.{number}")) for number in range(10)]
    assert waits[-1] > 0


@pytest.mark.starts_process
def test_people_sign_in_and_out_while_redis_is_full(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--maxmemory-policy", "noeviction") as url, redis.Redis.from_url(url) as client:
        bench = Bench(client)
        users, calls, run = bench.ledger.users, UserCalls(bench.ledger.keys), bench.ledger._run

        def go(ms: int) -> None:
            client.config_set("maxmemory", 0)
            bench.clock.go(ms)
            client.config_set("maxmemory", 1)

        users.put(ANN)
        go(10)
        assert run(calls.try_sign_in("ann", "10.0.0.1")) == 0
        assert run(calls.sign_in_worked("ann", "10.0.0.1"))
        assert run(calls.start("s", "ann")) == "ann"
        go(IDLE_MS - 1_000)
        assert found(bench, calls, is_use=True)
        go(2_000)
        assert found(bench, calls, is_use=False)
        assert users.put_link("l", "ann", 60_000)
        assert run(calls.start("t", link="l")) == "ann"
        assert run(calls.end("t"))
        go(10)
        users.sign_out("ann")
        assert found(bench, calls) is None
        assert users.drop("ann")
        client.config_set("maxmemory", 0)


@pytest.mark.starts_process
def test_signed_in_people_see_pages_while_redis_refuses_writes(tmp_path: Path) -> None:
    with running_redis(tmp_path) as url, redis.Redis.from_url(url) as client:
        bench = Bench(client)
        calls = UserCalls(bench.ledger.keys)
        bench.ledger.users.put(ANN)
        bench.ledger._run(calls.start("s", "ann"))
        client.config_set("min-replicas-to-write", 1)
        assert found(bench, calls, is_use=True)
        client.config_set("min-replicas-to-write", 0)
