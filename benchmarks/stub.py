"""The server to which all targets deliver. It answers a PUT as CustomerGauge answers a record, after a set latency.

    python -m benchmarks.stub PORT

It is a raw asyncio protocol (on uvloop, if installed), so that it does not limit the fastest target. It checks that
each PUT has a Bearer token and a body of the right length, and records its time and the number of its job.

    PUT …                         counted; 200 and an empty body after the latency
    POST …                        an OAuth2 token
    GET /reset?latency_ms=50      reset all counts, set the latency
    GET /stats                    counts since the reset
    GET /wait?count=7             answers after so many PUTs
    GET /arrivals?at=0,99,199     arrival times of these PUTs, by their order (monotonic ns)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import time
from array import array
from urllib.parse import parse_qs, urlsplit

from benchmarks.job import BODY_BYTES, MARK

try:
    import uvloop
except ImportError:  # gaugepost's own environment, which only tests the harness
    uvloop = None

TOKEN = {"access_token": "stub" * 8, "token_type": "Bearer", "expires_in": 3600}
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BEARER = re.compile(rb"\r\nauthorization: *bearer \S", re.IGNORECASE)
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def _json(data: object) -> bytes:
    text = json.dumps(data).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


class Log:
    """The PUTs since the last reset."""

    def __init__(self, latency_s: float = 0.0, *, is_open: int = 0) -> None:
        self.latency_s = latency_s
        self.at = array("q")
        self.items: set[int] = set()
        self.faulty = 0
        self.tokens = 0
        self.open = self.most_open = is_open
        self.waiting: list[tuple[int, asyncio.Transport]] = []

    def note(self, head: bytes, body: bytes) -> None:
        self.at.append(time.monotonic_ns())
        found = body.find(MARK)
        if len(body) != BODY_BYTES or found < 0 or not _BEARER.search(head):
            self.faulty += 1
            return
        start = found + len(MARK)
        self.items.add(int(body[start : start + 9]))

    def wake(self) -> None:
        ready = [one for one in self.waiting if len(self.at) >= one[0]]
        self.waiting = [one for one in self.waiting if len(self.at) < one[0]]
        for _, transport in ready:
            transport.write(_OK)

    def stats(self) -> dict[str, int]:
        first, last = (self.at[0], self.at[-1]) if self.at else (0, 0)
        return {"arrived": len(self.at), "distinct": len(self.items), "faulty": self.faulty, "tokens": self.tokens,
                "most_open": self.most_open, "first_ns": first, "last_ns": last}  # fmt: skip


log = Log()


class Connection(asyncio.Protocol):
    """One connection. Requests come one after another, split into packets in any way."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or uvloop
        self.transport = transport  # type: ignore[assignment]
        self._rest = b""
        log.open += 1
        log.most_open = max(log.most_open, log.open)

    def connection_lost(self, _: Exception | None) -> None:
        log.open -= 1

    def data_received(self, data: bytes) -> None:
        rest = self._rest + data if self._rest else data
        while (end_of_head := rest.find(b"\r\n\r\n")) >= 0:
            head = rest[:end_of_head]
            length = _LENGTH.search(head)
            end = end_of_head + 4 + (int(length[1]) if length else 0)
            if len(rest) < end:
                break
            self._answer(head, rest[end_of_head + 4 : end])
            rest = rest[end:]
        self._rest = rest

    def _answer(self, head: bytes, body: bytes) -> None:
        method, target, _ = head[: head.find(b"\r\n")].split(b" ")
        if method == b"PUT":
            log.note(head, body)
            if log.latency_s:
                asyncio.get_running_loop().call_later(log.latency_s, self._send, _OK)
            else:
                self.transport.write(_OK)
            if log.waiting:
                log.wake()
        elif method == b"POST":
            log.tokens += 1
            self.transport.write(_json(TOKEN))
        else:
            self._control(target.decode())

    def _send(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)

    def _control(self, target: str) -> None:
        global log  # noqa: PLW0603 - a reset replaces it
        url = urlsplit(target)
        given = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if url.path == "/reset":
            log = Log(float(given["latency_ms"]) / 1000, is_open=log.open)
            self.transport.write(_OK)
        elif url.path == "/wait":
            log.waiting.append((int(given["count"]), self.transport))
            log.wake()
        elif url.path == "/arrivals":
            self.transport.write(_json([log.at[int(place)] for place in given["at"].split(",")]))
        else:
            self.transport.write(_json(log.stats()))


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        (uvloop or asyncio).run(serve(int(sys.argv[1])))
