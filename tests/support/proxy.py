"""A TCP proxy that breaks connections on demand, before or after the target gets the request.

It serves one port, HTTP or Redis, in a thread of its own. It breaks connections with a reset, as a crashed host or a
firewall does, and not with an orderly close.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

T = TypeVar("T")
When = Callable[[bytes], bool]
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends RST and drops what was not sent
_CHUNK = 256 * 1024


def _always(_: bytes) -> bool:
    return True


@dataclass(eq=False)
class _Rule:
    """Drop the next `left` messages for which `when` returns true."""

    left: int
    when: When

    def takes(self, message: bytes) -> bool:
        if self.left <= 0 or not self.when(message):
            return False
        self.left -= 1
        return True


class _Rules:
    """Which messages of clients to lose. They are changed from outside, and asked in the loop's thread."""

    def __init__(self) -> None:
        self.requests_lost = 0
        self.replies_lost = 0
        self._requests: list[_Rule] = []
        self._replies: list[_Rule] = []

    def lose_requests(self, n: int, when: When) -> None:
        self._requests.append(_Rule(n, when))

    def lose_replies(self, n: int, when: When) -> None:
        self._replies.append(_Rule(n, when))

    def clear(self) -> None:
        self._requests.clear()
        self._replies.clear()

    def passes_request(self, pair: _Pair, message: bytes) -> bool:
        if any(rule.takes(message) for rule in self._requests):
            self.requests_lost += 1
            return False
        if any(rule.takes(message) for rule in self._replies):
            pair.lose_reply = True
        return True

    def passes_reply(self, pair: _Pair, _: bytes) -> bool:
        if pair.lose_reply:
            self.replies_lost += 1
        return not pair.lose_reply


@dataclass(eq=False)
class _Pair:
    """One client's connection and ours to the target for it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    lose_reply: bool = False

    def unread(self) -> bytes:
        """Return the unread bytes of the client's socket, which a reset drops."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._socket(self.client).fileno())) as again:
            return again.recv(_CHUNK, socket.MSG_DONTWAIT)
        return b""

    def _socket(self, writer: asyncio.StreamWriter) -> socket.socket:
        found: socket.socket = writer.get_extra_info("socket")
        return found

    def reset(self) -> None:
        for writer in (self.client, self.server):
            with contextlib.suppress(OSError):
                self._socket(writer).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


@dataclass
class Proxy:
    """Listens on `port` and forwards everything to `target_port`, unless a call changes that.

    A *message* is the result of one read from the client's socket: for Redis a command or a pipeline, for HTTP the
    headers, and the body as its own message if the client sends it so. All calls are thread-safe and take effect
    before they return.
    """

    target_port: int
    port: int = 0
    tls: ssl.SSLContext | None = None
    """What it shows its clients; the target is talked to in the clear."""
    cuts: int = 0
    """Connections reset so far, for whatever reason."""
    on_request: Callable[[bytes], object] = bool
    """Called with each message that left a client, whatever becomes of it."""
    _delay_s: float = 0.0
    _pairs: set[_Pair] = field(default_factory=set)
    _rules: _Rules = field(default_factory=_Rules)
    _server: asyncio.Server | None = None

    # From outside

    @property
    def requests_lost(self) -> int:
        return self._rules.requests_lost

    @property
    def replies_lost(self) -> int:
        return self._rules.replies_lost

    def __enter__(self) -> Self:
        # Bound for good and never listening, so that the port stays ours while we refuse.
        self._anchor = socket.socket()
        self._anchor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._anchor.bind(("127.0.0.1", self.port))
        self.port = self._anchor.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._anchor.close()

    def cut(self) -> int:
        """Reset every connection; return how many."""
        return self._do(self._cut())

    def refuse(self) -> None:
        """Refuse new connections, and keep the open ones."""
        self._do(self._refuse())

    def accept(self) -> None:
        """Accept new connections again."""
        self._do(self._accept())

    def lose_requests(self, n: int = 1, when: When = _always) -> None:
        """Drop the next `n` messages to the target for which `when` returns true, each with its connection.

        The request has no effect: the target gets nothing, or half a request and a reset.
        """
        self._rules.lose_requests(n, when)

    def lose_replies(self, n: int = 1, when: When = _always) -> None:
        """Forward the next `n` such messages, and drop the answer with its connection: the request takes effect."""
        self._rules.lose_replies(n, when)

    def delay(self, seconds: float) -> None:
        """Delay every message by these seconds, in both directions."""
        self._delay_s = seconds

    def calm(self) -> None:
        """Remove all rules and delays, and accept connections."""
        self._rules.clear()
        self._delay_s = 0.0
        self.accept()

    # In the loop's thread

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)

    async def _accept(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port, reuse_port=True, backlog=512, ssl=self.tls
            )

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _cut(self) -> int:
        pairs = list(self._pairs)
        for pair in pairs:
            self._reset(pair)
        return len(pairs)

    async def _end(self) -> None:
        await self._refuse()
        await self._cut()
        await _cancel_other_tasks()

    def _reset(self, pair: _Pair) -> None:
        if pair in self._pairs:
            self._pairs.remove(pair)
            self.cuts += 1
            if message := pair.unread():
                self.on_request(message)
            pair.reset()

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            to_client.transport.abort()
            return
        pair = _Pair(to_client, to_server)
        self._pairs.add(pair)
        there = _forward(from_client, to_server, lambda message: self._passes(pair, message, self._request))
        back = _forward(from_server, to_client, lambda message: self._passes(pair, message, self._rules.passes_reply))
        with contextlib.suppress(asyncio.CancelledError):  # the end of the proxy, and not an error of this task
            await asyncio.gather(there, back)
        self._pairs.discard(pair)

    async def _passes(self, pair: _Pair, message: bytes, rule: Callable[[_Pair, bytes], bool]) -> bool:
        """Delay a message; return whether to forward it. Reset both connections if not."""
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        passes = rule(pair, message)
        if not passes:
            self._reset(pair)
        return passes

    def _request(self, pair: _Pair, message: bytes) -> bool:
        self.on_request(message)
        return self._rules.passes_request(pair, message)


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: Callable[[bytes], Awaitable[bool]]
) -> None:
    """Forward one direction until a side closes, or a message does not pass."""
    with contextlib.suppress(OSError):
        while message := await reader.read(_CHUNK):
            if not await passes(message):
                return
            writer.write(message)
            await writer.drain()
    writer.close()


async def _cancel_other_tasks() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
