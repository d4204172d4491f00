"""Sessions of open pages are read together; and one that ends meanwhile is not believed again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
import redis
from starlette.requests import Request

from gaugepost import Region, Settings
from gaugepost.errors import StoreError
from gaugepost.ledger.api_keys import digest_of
from gaugepost.ledger.users import Role, User
from gaugepost_ops.web.console import session_reads as module
from gaugepost_ops.web.console.session_reads import Visitor
from gaugepost_ops.web.console.sessions import Sessions
from gaugepost_ops.web.store import Store
from support.redis_server import RedisServer

Check = Callable[[Store, Sessions, list[Visitor]], Awaitable[None]]


@pytest.fixture(autouse=True)
def _belief_of_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BELIEVED_S", 60.0)
    monkeypatch.setattr(module, "_OPEN_S", 600.0)


def believe_none(sessions: Sessions) -> None:
    """Let the time pass in which the sessions are believed."""
    for one, known in sessions._reads._believed.items():
        sessions._reads._believed[one] = known._replace(read=float("-inf"))


def of_page(visitor: Visitor, *, is_use: bool = False) -> Request:
    """Return a request as an open page sends it, or a person who follows a link."""
    headers = [(b"host", b"127.0.0.1"), (b"cookie", f"gaugepost={visitor.session}".encode())]
    headers += [] if is_use else [(b"hx-request", b"true")]
    return Request({"type": "http", "scheme": "http", "method": "GET", "path": "/", "headers": headers})


def with_three(server: RedisServer, check: Check) -> None:
    """Start a session of three people, let each page ask once, and run the check."""
    with server.client() as client:
        client.flushall()

    async def run() -> None:
        store = Store(Settings.given(redis_url=server.url))
        try:
            sessions, visitors = Sessions(store), []
            for name in ("ann", "bob", "carl"):
                await store.run(Region.EU, sessions.calls[Region.EU].put(User(name, Role.VIEWER, "$argon2id$…")))
                visitor = await sessions.start(name)
                assert visitor is not None
                visitors.append(visitor)
            assert [await sessions.find(of_page(one)) for one in visitors] == visitors
            await check(store, sessions, visitors)
        finally:
            await store.close()

    asyncio.run(run())


async def number_of(command: str, store: Store) -> int:
    """Return how often Redis has run a command, also inside scripts."""
    client = store.blocking.ledger(Region.EU)._client
    statistics = await asyncio.to_thread(client.info, "commandstats")
    return int(statistics.get(f"cmdstat_{command}", {}).get("calls", 0))


def test_one_call_reads_the_sessions_of_all_open_pages(server: RedisServer) -> None:
    async def check(store: Store, sessions: Sessions, visitors: list[Visitor]) -> None:
        believe_none(sessions)
        before = await number_of("evalsha", store)
        assert [await sessions.find(of_page(one)) for one in visitors] == visitors
        assert await number_of("evalsha", store) == before + 1
        believe_none(sessions)
        await store.run(Region.EU, sessions.calls[Region.EU].sign_out("carl"))
        found = [await sessions.find(of_page(one)) for one in visitors]
        assert found == [*visitors[:2], None]

    with_three(server, check)


def test_use_of_one_session_reads_no_other(server: RedisServer) -> None:
    async def check(_: Store, sessions: Sessions, visitors: list[Visitor]) -> None:
        before = dict(sessions._reads._believed)
        assert await sessions.find(of_page(visitors[0], is_use=True)) == visitors[0]
        for one in visitors[1:]:
            assert sessions._reads._believed[one.session] is before[one.session]

    with_three(server, check)


def test_unknown_session_costs_no_reading_of_others(server: RedisServer) -> None:
    async def check(_: Store, sessions: Sessions, visitors: list[Visitor]) -> None:
        before = dict(sessions._reads._believed)
        assert await sessions.find(of_page(Visitor("eve", Role.ADMIN, "eu.guessed"))) is None
        assert sessions._reads._believed == before

    with_three(server, check)


def test_session_that_ends_while_it_is_read_is_not_believed(server: RedisServer) -> None:
    async def check(_: Store, sessions: Sessions, visitors: list[Visitor]) -> None:
        believe_none(sessions)
        of_ann = asyncio.create_task(sessions.find(of_page(visitors[0])))
        await asyncio.sleep(0)  # the reading has begun, and Redis has not answered
        await sessions.end(visitors[1])
        assert await of_ann == visitors[0]
        assert await sessions.find(of_page(visitors[1])) is None

    with_three(server, check)


BAD: dict[str, Callable[[redis.Redis, str, str], object]] = {
    "wrong type": lambda client, key, _: (client.delete(key), client.set(key, "x")),
    "no number": lambda client, key, _: client.hset(key, "idle", "x"),
    "no user": lambda client, _, users: client.hset(users, "bob", "{"),
}


@pytest.mark.parametrize("what", BAD)
def test_session_that_cannot_be_read_fails_alone(server: RedisServer, what: str) -> None:
    async def check(store: Store, sessions: Sessions, visitors: list[Visitor]) -> None:
        ann, bob, carl = visitors
        with server.client() as client:
            [key] = client.keys(f"*{digest_of(bob.session)}")
            BAD[what](client, key, store.blocking.ledger(Region.EU).keys["console_users"])
        for _ in range(2):
            believe_none(sessions)
            assert [await sessions.find(of_page(one)) for one in (ann, carl)] == [ann, carl]
            with pytest.raises((StoreError, ValueError, AttributeError)):
                await sessions.find(of_page(bob))

    with_three(server, check)


def test_sessions_that_are_read_now_or_fresh_are_not_read_again(server: RedisServer) -> None:
    async def check(store: Store, sessions: Sessions, visitors: list[Visitor]) -> None:
        believe_none(sessions)
        before = await number_of("hmget", store)
        assert await asyncio.gather(*(sessions.find(of_page(one)) for one in visitors)) == visitors
        assert await number_of("hmget", store) == before + 5, "three by the first call, one by each of the others"
        ann = visitors[0].session
        sessions._reads._believed[ann] = sessions._reads._believed[ann]._replace(read=float("-inf"))
        assert await sessions.find(of_page(visitors[0])) == visitors[0]
        assert await number_of("hmget", store) == before + 6

    with_three(server, check)


def test_answer_is_as_old_as_its_question(server: RedisServer) -> None:
    async def check(_: Store, sessions: Sessions, visitors: list[Visitor]) -> None:
        believe_none(sessions)
        found = asyncio.create_task(sessions.find(of_page(visitors[0])))
        await asyncio.sleep(0)
        sent = time.monotonic()
        assert await found == visitors[0]
        for one in visitors:
            assert sessions._reads._believed[one.session].read <= sent

    with_three(server, check)
