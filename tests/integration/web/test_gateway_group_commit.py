"""A group commit: what fails for one of those that wait changes nothing for the others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from gaugepost import Region, Settings
from gaugepost.ledger import Accepted, Entry
from gaugepost_ops.web.group_commit import GroupCommit
from gaugepost_ops.web.store import Store
from support.factories import record
from support.redis_server import RedisServer


@dataclass
class Waiter:
    """Takes an answer, or fails when it gets one, as a connection that breaks at that moment."""

    fails: bool = False
    answers: list[Accepted | Exception] = field(default_factory=list)

    def done(self) -> bool:
        return bool(self.answers)

    def set_result(self, accepted: Accepted, /) -> None:
        self._take(accepted)

    def set_exception(self, error: Exception, /) -> None:
        self._take(error)

    def _take(self, answer: Accepted | Exception) -> None:
        if self.fails:
            raise RuntimeError
        self.answers.append(answer)


class Broken(Entry):
    """A job that cannot be sent to Redis."""

    def arguments(self, *_: Any) -> Any:
        raise UnicodeError


def stored(redis_url: str, *waiting: tuple[Entry, Waiter]) -> None:
    """Store jobs in one group, and wait for all answers."""

    async def run() -> None:
        store = Store(Settings.given(redis_url=redis_url, regions="eu"))
        commits = GroupCommit(store, Region.EU)
        for entry, waiter in waiting:
            commits.add(entry, waiter)
        async with asyncio.timeout(30):
            await commits.accept(Entry.of(record()))
        await store.close()

    asyncio.run(run())


@pytest.mark.parametrize("redis_is_away", [False, True])
def test_failed_answer_of_one_request_leaves_the_others_answered(server: RedisServer, *, redis_is_away: bool) -> None:
    first, broken, last = Waiter(), Waiter(fails=True), Waiter()
    given = [(Entry.of(record()), one) for one in (first, broken, last)]
    if redis_is_away:
        with pytest.raises(ConnectionError):
            stored("redis://127.0.0.1:1/0", *given)
    else:
        stored(server.url, *given)
    [of_first], [of_last] = first.answers, last.answers
    assert isinstance(of_first, ConnectionError if redis_is_away else Accepted)
    assert type(of_last) is type(of_first)


def test_job_that_cannot_be_sent_fails_alone(server: RedisServer) -> None:
    first, bad, last = Waiter(), Waiter(), Waiter()
    entry = Entry.of(record())
    broken = Broken(entry.id, entry.job)
    stored(server.url, (Entry.of(record()), first), (broken, bad), (Entry.of(record()), last))
    assert [type(one) for waiter in (first, bad, last) for one in waiter.answers] == [Accepted, UnicodeError, Accepted]
