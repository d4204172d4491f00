"""Clients that are too slow: the protocol on real sockets, with the time as a parameter."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import uvicorn
from uvicorn.server import ServerState

from gaugepost_ops.web.bodies import BODY_S, read_body
from gaugepost_ops.web.connection import CLOSE_S, HEAD_S, KEEP_ALIVE_S, MAX_HEAD, Connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    Exchange = Callable[[asyncio.StreamReader, asyncio.StreamWriter, "Counted"], Awaitable[None]]

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


class Counted(Connection):
    """A connection that counts the bytes that it has received."""

    received = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.received += len(data)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body of the request; to GET at once."""
    body = b"well" if scope["method"] in {"GET", "HEAD"} else await read_body(scope, receive, 10_000_000)
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


def connected(exchange: Exchange) -> None:
    """Call `exchange` with both ends of a connection to a server."""

    async def run() -> None:
        config = uvicorn.Config(app, log_config=None, access_log=False)
        config.load()
        made: list[Counted] = []

        def make() -> Counted:
            made.append(Counted(config, ServerState(), {}))
            return made[-1]

        server = await asyncio.get_running_loop().create_server(make, "127.0.0.1")
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await until(lambda: bool(made) and made[0].transport is not None)
        async with asyncio.timeout(30):
            await exchange(reader, writer, made[0])
        writer.close()
        server.close()

    asyncio.run(run())


async def answer(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"well")


def after(connection: Connection, seconds: float) -> None:
    connection.end_if_overdue(time.monotonic() + seconds)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the protocol has no event
        await asyncio.sleep(0)


@pytest.mark.parametrize("begun", [b"", GET])
def test_connection_without_request_is_closed(begun: bytes) -> None:
    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Counted) -> None:
        writer.write(begun)
        if begun:
            await answer(reader)
        after(connection, KEEP_ALIVE_S - 5)
        assert not connection.transport.is_closing()
        after(connection, KEEP_ALIVE_S + 1)
        assert await reader.read() == b""

    connected(exchange)


@pytest.mark.parametrize("before", [b"", GET])
def test_slow_head_is_answered_408(before: bytes) -> None:
    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Counted) -> None:
        writer.write(before)
        if before:
            await answer(reader)
        writer.write(GET[:-2])
        await until(lambda: connection.due < time.monotonic() + HEAD_S + 1)
        after(connection, HEAD_S - 5)
        assert not connection.transport.is_closing()
        so_far = connection.received
        writer.write(b"X-Slow: yes\r\n")  # a further header gives no further time
        await until(lambda: connection.received > so_far)
        after(connection, HEAD_S + 1)
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")

    connected(exchange)


def test_line_breaks_keep_no_connection_open() -> None:
    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Counted) -> None:
        writer.write(GET)
        await answer(reader)
        writer.write(b"\r\n\r\n")
        await until(lambda: connection.received > len(GET))
        after(connection, KEEP_ALIVE_S + 1)
        assert await reader.read() == b""

    connected(exchange)


def test_body_that_does_not_begin_is_answered_408() -> None:
    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Counted) -> None:
        writer.write(POST)
        await until(lambda: connection.cycle is not None)
        after(connection, BODY_S + 1)
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")

    connected(exchange)


def test_body_that_has_begun_is_left_to_its_reader() -> None:
    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Counted) -> None:
        writer.write(POST + b"we")
        await until(lambda: connection.cycle is not None and connection.due == float("inf"))
        after(connection, 10 * BODY_S)
        writer.write(b"ll")
        assert (await answer(reader)).startswith(b"HTTP/1.1 200 ")

    connected(exchange)


def test_client_that_reads_nothing_is_cut_off() -> None:
    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Counted) -> None:
        size = 9_000_000
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        writer.write(b"x" * size)
        await until(lambda: connection.cycle is not None and connection.cycle.response_complete)
        after(connection, KEEP_ALIVE_S + 1)
        assert connection.transport.is_closing()
        assert connection in connection.connections
        after(connection, KEEP_ALIVE_S + CLOSE_S + 2)
        await until(lambda: connection not in connection.connections)

    connected(exchange)


def test_requests_sent_together_are_answered_in_order() -> None:
    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Counted) -> None:
        writer.write(POST + b"one " + POST + b"two " + POST + b"well")
        found = await answer(reader)
        assert [part[-4:] for part in found.split(b"HTTP/1.1 200 OK\r\n")[1:]] == [b"one ", b"two ", b"well"]
        after(connection, KEEP_ALIVE_S - 5)
        assert not connection.transport.is_closing()

    connected(exchange)


def test_answer_without_body_is_sent_at_once() -> None:
    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Counted) -> None:
        writer.write(GET.replace(b"GET", b"HEAD"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.write(POST.replace(b"Content-Length", b"Expect: 100-continue\r\nContent-Length"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"well")
        assert (await answer(reader)).startswith(b"HTTP/1.1 200 ")

    connected(exchange)


@pytest.mark.parametrize("piece", [b"x" * 10_000, b"X-More: yes\r\n" * 1_000])
def test_head_without_end_is_refused(piece: bytes) -> None:
    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Counted) -> None:
        writer.write(GET[:-2] + b"X-Long: ")
        while not connection.transport.is_closing():
            assert connection.received < 10 * MAX_HEAD
            writer.write(piece)
            await asyncio.sleep(0)
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")

    connected(exchange)
