"""The short way of single jobs: which requests take it, and that nobody can tell it from the ordinary way."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from gaugepost import Producer, Region, Settings
from gaugepost.ledger.api_keys import ApiKey, Scope, digest_of, new_secret
from gaugepost_ops.web.app import Application
from gaugepost_ops.web.connection import Connection
from gaugepost_ops.web.observed import KEY, ROUTE
from gaugepost_ops.web.single_jobs import Answers, SingleJob, SingleJobs
from support.gateway import GatewayProcess, job
from support.redis_server import RedisServer
from support.wait import wait_until

JOB = json.dumps(job()).encode()
JSON = b"Content-Type: application/json\r\n"


def head(key: str, body: bytes, more: bytes = JSON, first: bytes = b"POST /v1/jobs HTTP/1.1") -> bytes:
    authorization = b"Authorization: Bearer " + key.encode()
    return b"\r\n".join([first, b"Host: x", authorization, b"Content-Length: %d" % len(body), more]) + b"\r\n"


def whole(key: str, body: bytes = JOB, more: bytes = JSON, first: bytes = b"POST /v1/jobs HTTP/1.1") -> bytes:
    return head(key, body, more, first) + body


class Counting(SingleJobs):
    """Counts the requests that take the short way."""

    taken = 0

    def take(
        self, connection: Answers, request: MutableMapping[str, Any], head: dict[bytes, bytes], body: bytes
    ) -> SingleJob | None:
        single = super().take(connection, request, head, body)
        if single is not None:
            self.taken += 1
            assert (request[ROUTE], request[KEY][:4], request["method"]) == ("/v1/jobs", "key-", "POST")
        return single


Exchange = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Counting], Awaitable[None]]


def connected(redis_url: str, exchange: Exchange, *, proxy_headers: bool = False) -> None:
    """Call `exchange` with a connection to a gateway in this process."""

    async def run() -> None:
        application = Application(Settings.given(redis_url=redis_url, regions="eu"))
        counting = Counting(application.gateway, application.asgi, proxy_headers=proxy_headers)
        config = uvicorn.Config(application.asgi, log_config=None, access_log=False)
        config.load()
        async with application.gateway.running():
            made = asyncio.get_running_loop().create_server(
                lambda: Connection(config, ServerState(), {}, singles=counting), "127.0.0.1"
            )
            async with await made as server, asyncio.timeout(60):
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                await exchange(reader, writer, counting)
                writer.close()

    asyncio.run(run())


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the next answer."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def known(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counting: Counting, key: str) -> None:
    """Send jobs until one takes the short way: the gateway then knows the key without asking."""
    before = counting.taken
    while counting.taken == before:
        writer.write(whole(key))
        status, _, _ = await answer(reader)
        assert status == 201


def secret(server: RedisServer, **more: Any) -> str:
    made = new_secret()
    given = {"scopes": tuple(Scope), "regions": ("eu",)} | more
    with Producer(Settings.given(redis_url=server.url)) as producer:
        assert producer.ledger(Region.EU).api_keys.put(ApiKey(name_of(made), digest_of(made), **given))
    return made


def name_of(made: str) -> str:
    return f"key-{digest_of(made)[:8]}"


def test_usual_request_takes_the_short_way_also_in_two_pieces(server: RedisServer) -> None:
    key = secret(server)

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counting: Counting) -> None:
        await known(reader, writer, counting, key)
        before = counting.taken
        while counting.taken == before:
            writer.write(head(key, JOB))
            await asyncio.sleep(0)
            writer.write(JOB)
            status, headers, body = await answer(reader)
            assert (status, json.loads(body)["state"]) == (201, "queued")
            assert headers["location"] == f"/v1/jobs/{json.loads(body)['id']}"

    connected(server.url, exchange)


def test_answered_requests_are_no_work_for_garbage_collection(server: RedisServer) -> None:
    key = secret(server)

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counting: Counting) -> None:
        await known(reader, writer, counting, key)
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await known(reader, writer, counting, key)
            kept = sum(isinstance(one, SingleJob) for one in gc.get_objects())
        finally:
            gc.enable()
        assert kept <= 1  # a connection has its latest request

    connected(server.url, exchange)


OTHERS = {
    "charset": (JOB, JSON[:-2] + b"; charset=utf-8\r\n", b"POST /v1/jobs HTTP/1.1", 201),
    "two headers": (JOB, JSON + JSON, b"POST /v1/jobs HTTP/1.1", 201),
    "two keys": (JOB, JSON + b"Idempotency-Key: a\r\n" * 2, b"POST /v1/jobs HTTP/1.1", 400),
    "key not ASCII": (JOB, JSON + b"Idempotency-Key: \xe9\r\n", b"POST /v1/jobs HTTP/1.1", 400),
    "array": (b"[%s]" % JOB, JSON, b"POST /v1/jobs HTTP/1.1", 200),
    "no JSON": (b"{", JSON, b"POST /v1/jobs HTTP/1.1", 400),
    "key twice": (JOB[:-1] + b',"kind":"record"}', JSON, b"POST /v1/jobs HTTP/1.1", 400),
    "empty": (b"", JSON, b"POST /v1/jobs HTTP/1.1", 400),
    "invalid": (b'{"kind":"record"}', JSON, b"POST /v1/jobs HTTP/1.1", 422),
    "other region": (JOB.replace(b'"eu"', b'"us"'), JSON, b"POST /v1/jobs HTTP/1.1", 422),
    "path of a file": (json.dumps(job(kind="file", path="/etc/passwd")).encode(), JSON, b"POST /v1/jobs HTTP/1.1", 422),
    "long": (json.dumps(job(record={"Email": "a" * 70_000})).encode(), JSON, b"POST /v1/jobs HTTP/1.1", 201),
    "other path": (JOB, JSON, b"POST /v1/jobs/ HTTP/1.1", 404),
    "other method": (JOB, JSON, b"PUT /v1/jobs HTTP/1.1", 405),
    "query": (JOB, JSON, b"POST /v1/jobs?a=1 HTTP/1.1", 201),
    "proxy": (JOB, JSON + b"X-Forwarded-For: 10.0.0.1\r\n", b"POST /v1/jobs HTTP/1.1", 201),
    "close": (JOB, JSON + b"Connection: close\r\n", b"POST /v1/jobs HTTP/1.1", 201),
    "HTTP/1.0": (JOB, JSON, b"POST /v1/jobs HTTP/1.0", 201),
}


@pytest.mark.parametrize("other", OTHERS)
def test_other_requests_go_the_ordinary_way(server: RedisServer, other: str) -> None:
    key, (body, more, first, expected) = secret(server), OTHERS[other]

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counting: Counting) -> None:
        await known(reader, writer, counting, key)
        before = counting.taken
        writer.write(whole(key, body, more, first))
        status, _, _ = await answer(reader)
        assert (status, counting.taken - before) == (expected, 0)

    connected(server.url, exchange, proxy_headers=True)


@pytest.mark.parametrize(("rights", "expected"), [({"scopes": (Scope.READ,)}, 403), ({"rate": 1_000}, 201)])
def test_keys_with_a_rate_or_without_the_right_never_take_it(
    server: RedisServer, rights: dict[str, Any], expected: int
) -> None:
    key = secret(server, **rights)

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counting: Counting) -> None:
        for _ in range(20):
            writer.write(whole(key))
            status, _, _ = await answer(reader)
            assert status == expected
        assert counting.taken == 0

    connected(server.url, exchange)


def test_revoked_key_ends_within_a_second_in_the_short_way_too(server: RedisServer) -> None:
    key = secret(server)

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counting: Counting) -> None:
        await known(reader, writer, counting, key)
        with Producer(Settings.given(redis_url=server.url)) as producer:
            producer.ledger(Region.EU).api_keys.drop(name_of(key))
        ends = asyncio.get_running_loop().time() + 1
        status = 201
        while status == 201:
            began = asyncio.get_running_loop().time()
            writer.write(whole(key))
            status, _, _ = await answer(reader)
            assert status == 401 or began < ends
        assert status == 401

    connected(server.url, exchange)


def test_both_ways_give_the_same_answers(server: RedisServer) -> None:
    key = secret(server)
    other = json.dumps(job(labels=["other"], configuration="other")).encode()

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counting: Counting) -> None:
        found = []
        for kind in (JSON, JSON[:-2] + b";\r\n"):
            await known(reader, writer, counting, key)
            before = counting.taken
            more = kind + b"Idempotency-Key: %d\r\n" % len(kind)
            answers = []
            for body in (JOB, JOB, other):
                writer.write(whole(key, body, more))
                status, headers, text = await answer(reader)
                made = json.loads(text)["id"]
                answers.append((status, headers.keys(), text.replace(made.encode(), b"")))
            found.append((answers, counting.taken - before))
        (short, taken), (ordinary, none) = found
        assert short == ordinary
        assert [status for status, *_ in short] == [201, 200, 409]
        assert (taken > 0, none) == (True, 0)

    connected(server.url, exchange)


def test_requests_in_one_piece_are_answered_one_after_another(server: RedisServer) -> None:
    key = secret(server)

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counting: Counting) -> None:
        await known(reader, writer, counting, key)
        keys = [b"Idempotency-Key: %d\r\n" % number for number in (1, 2, 1, 3)]
        writer.write(b"".join(whole(key, JOB, JSON + one) for one in keys))
        found = [await answer(reader) for _ in keys]
        ids = [json.loads(body)["id"] for _, _, body in found]
        assert [status for status, *_ in found] == [201, 201, 200, 201]
        assert (ids[2], len(set(ids))) == (ids[0], 3)

    connected(server.url, exchange)


def test_job_of_a_client_that_has_gone_is_stored(gateway: GatewayProcess, key: str) -> None:
    gateway.post(key, job())
    for number in range(20):
        with closing(socket.create_connection(("127.0.0.1", gateway.port))) as connection:
            connection.sendall(whole(key, JOB, JSON + b"Idempotency-Key: gone-%d\r\n" % number))
    for number in range(20):
        wait_until(lambda number=number: found(gateway, key, number), what=f"job {number} is stored")
    assert gateway.post(key, job()).status_code == 201
    assert "Traceback" not in gateway.log()


def found(gateway: GatewayProcess, key: str, number: int) -> bool:
    return len(gateway.call("GET", f"/v1/jobs?key=gone-{number}&region=eu", key).json()["jobs"]) == 1


def test_sigterm_answers_a_job_that_is_being_stored(tmp_path: Path) -> None:
    server = RedisServer(tmp_path).start()
    with GatewayProcess(tmp_path, server.url) as gateway:
        key = gateway.key()
        assert gateway.process is not None
        with (
            closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=30)) as begun,
            closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=30)) as sent,
        ):
            gateway.post(key, job())
            begun.sendall(head(key, JOB))
            with server.frozen():
                sent.sendall(whole(key))
                wait_until(lambda: in_flight(gateway), what="the gateway has read both")
                gateway.process.send_signal(signal.SIGTERM)
                answered = sent.makefile("rb").read()
            begun.sendall(JOB)
            late = begun.makefile("rb").read()
        assert answered.startswith(b"HTTP/1.1 503 ")
        assert late.startswith((b"HTTP/1.1 201 ", b"HTTP/1.1 503 "))
        assert b"connection: close\r\n" in answered
        assert gateway.process.wait(30) == 0
    server.stop()


def in_flight(gateway: GatewayProcess) -> bool:
    """Return whether the gateway has read all that was sent to it: the kernel holds nothing."""
    assert gateway.process is not None
    local = f":{gateway.port:04X}"
    rows = [line.split() for line in Path(f"/proc/{gateway.process.pid}/net/tcp").read_text().splitlines()[1:]]
    return all(row[4].endswith(":00000000") for row in rows if row[1].endswith(local) and row[3] == "01")
