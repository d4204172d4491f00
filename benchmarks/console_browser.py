"""Ask the console as browsers do, over kept connections; and the addresses that `console.py` measures."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from benchmarks.console_ledger import CAUSES
from gaugepost import Producer, Region
from gaugepost.ledger.reference_query import Place
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME, PASSWORD = "bench", "a password of the benchmark"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Browser:
    """One kept connection with the cookie of a session."""

    def __init__(self, port: int) -> None:
        self._port, self._cookie = port, ""
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, body: str | None = None, **headers: str) -> Answer:
        """Send a request and read the whole answer."""
        reader, _ = await self.begin(path, body, **headers)
        status, found = await _head(reader)
        length = int(found.get("content-length", "0"))
        return Answer(status, found, await reader.readexactly(length) if status != HTTPStatus.NOT_MODIFIED else b"")

    async def begin(
        self, path: str, body: str | None = None, **headers: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        given = {"Host": f"127.0.0.1:{self._port}", "Accept": "text/html", "Cookie": self._cookie}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
            given |= form | {"Sec-Fetch-Site": "same-origin"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
        method = "GET" if body is None else "POST"
        self._streams[1].write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n{body or ''}".encode())
        return self._streams

    async def sign_in(self) -> Browser:
        answer = await self.ask("/sign-in", urlencode({"name": NAME, "password": PASSWORD}))
        assert answer.status == HTTPStatus.SEE_OTHER, answer
        self._cookie = answer.headers["set-cookie"].partition(";")[0]
        return self

    def another(self) -> Browser:
        """Return another connection of the same session."""
        other = Browser(self._port)
        other._cookie = self._cookie
        return other

    def close(self) -> None:
        """Close the connection. The next request opens one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, _, value in pairs}


class Addresses:
    """The addresses that are asked: every page, filters of each sort, and places deep in a list."""

    def __init__(self, producer: Producer, client: Any) -> None:
        self._ledger = producer.ledger(Region.EU)
        self._number = producer.settings.regions.index(Region.EU)
        self._client = client

    def all(self) -> list[str]:
        """Return all of them."""
        delivered, _ = self._at(JobState.DELIVERED, 0)
        shown = (JobState.DEAD, JobState.DELIVERED, JobState.PARKED, JobState.WAITING)
        jobs = [*(self._at(state, 0)[0] for state in shown), self.held()]
        return [
            "/", "/stuck", "/stuck?region=eu", "/jobs", *(f"/jobs?{one}" for one in self._lists()),
            *(f"/jobs?q={one}" for one in _searches(delivered)), *(f"/jobs/{one}" for one in jobs),
            f"/jobs/bulk?action=replay&{_DEAD}", *self._others(delivered), "/settings", "/account",
        ]  # fmt: skip

    def held(self) -> str:
        """Return a job that waits under a hold."""
        return self._client.zrange(self._ledger.keys.of("held:", "configuration:unknown-0007"), 0, 0)[0].decode()

    def _lists(self) -> Iterator[str]:
        yield from (f"state={state}" for state in ("dead", "delivered", "queued", "waiting", "parked", "unknown"))
        yield from (_DEAD, "state=dead&field=Email", "state=delivered&source=nobody", "state=parked&kind=close_loop",
                    "state=queued&source=service-3", "since=1h&until=1m")  # fmt: skip
        for state in (JobState.DELIVERED, JobState.DEAD):
            place = Place(*reversed(self._at(state, self._client.zcard(self._ledger.keys[str(state)]) // 2)))
            yield urlencode({"state": state, "cursor": f"{self._number}~{place.cursor}"})
        for state in (JobState.QUEUED, JobState.PARKED):
            yield urlencode({"state": state, "cursor": f"{self._number}~{self._ledger.summary()[str(state)] // 2}"})

    def _at(self, state: JobState, rank: int) -> tuple[str, int]:
        """Return the job at a place of a sorted set, the newest first, and its time."""
        [(found, at)] = self._client.zrange(self._ledger.keys[str(state)], rank, rank, desc=True, withscores=True)
        return found.decode(), int(at)

    def _others(self, job_id: str) -> Iterator[str]:
        yield from ("/holds", "/holds?region=eu", f"/holds?after={quote('eu:configuration:unknown-0007')}")
        yield from ("/uploads", "/uploads?region=eu", "/history", "/history?range=day")
        yield from ("/batches", "/batches/campaign-0003", "/batches/stopped")
        yield from ("/operations", f"/operations/{self._ledger.operations.list(1)[0].id}")
        deep = self._ledger.audit.read(limit=1000)[-1].id
        yield from ("/audit", "/audit?actor=operator-3", "/audit?actor=nobody", "/audit?region=eu&action=hold")
        yield from (f"/audit?cursor={deep}", f"/audit?job={job_id}")


_DEAD = urlencode({"state": "dead", "region": "eu", "verdict": CAUSES[0][0], "configuration": CAUSES[0][1]})


def _searches(job_id: str) -> Iterator[str]:
    yield from ("email:p000000007@example.net", "nobody@example.net", "label:campaign-3", "batch:campaign-0003")
    yield from ("key:order-7", "case:100000001", "file:orders-0003.csv", job_id[:8], f"id:{job_id}")
    yield "label:campaign-3+state:dead+verdict:duplicate"
