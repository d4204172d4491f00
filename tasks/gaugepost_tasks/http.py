"""One exchange over HTTP, and the truth about whether anything of it went out. The transport: this file and `wire.py`.

What a job may do after a failure depends on one fact: whether its first byte had left. Before it a failure is
`unreachable`, after it `lost_answer`, whatever its type. So the exchange is written out here as one straight line:
connect, ask for leave, send, receive. No cookies, no proxies from the environment, no redirect followed, nothing sent
a second time.
"""

from __future__ import annotations

import functools
import ssl
import time
from collections import defaultdict, deque
from importlib import metadata
from typing import TYPE_CHECKING

import certifi

from gaugepost_tasks.messages import Answer, Request
from gaugepost_tasks.wire import Connection, Deadline, Target, head_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gaugepost_tasks.messages import Failure

MAX_IDLE_S = 4.0
"""A kept connection idle for longer is not used again: servers close theirs from 5 s on, and a request that meets
such a close looks exactly like a lost answer."""

_WORDS: Mapping[str, str] = {
    "ConnectionRefusedError": "connection refused",
    "ConnectionResetError": "connection reset",
    "BrokenPipeError": "connection closed while sending",
    "RemoteDisconnected": "connection closed without an answer",
    "IncompleteRead": "body shorter than announced",
    "SSLCertVerificationError": "certificate not trusted",
    "TimeoutError": "timed out",
    "gaierror": "host name not found",
}

_target = functools.lru_cache(maxsize=256)(Target.of)


class HttpClient:
    """Sends requests, from any number of threads; timeouts in seconds.

    One exchange takes `connect_timeout + read_timeout + 1` at most. Only a name server that does not answer can hold
    it longer, and then nothing is sent any more. `pool_size` is how many idle connections per host are kept.
    `ca_file` are authorities in place of certifi's.
    """

    def __init__(
        self,
        connect_timeout: float,
        read_timeout: float,
        pool_size: int,
        max_answer_bytes: int = 1_000_000,
        *,
        ca_file: str | None = None,
    ) -> None:
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._max_answer_bytes = max_answer_bytes
        self._tls = ssl.SSLContext(
            ssl.PROTOCOL_TLS_CLIENT
        )  # not the default one: SSLKEYLOGFILE would write its keys down
        self._tls.load_verify_locations(ca_file or certifi.where())
        self._pool_size = pool_size
        self._idle: defaultdict[tuple[str, str, int], deque[Connection]] = defaultdict(deque)

    def exchange(
        self, request: Request, credential_header: str, before_first_byte: Callable[[], None] | None = None
    ) -> Answer:
        """Send a request once and return what came of it, never following a redirect and never sending again.

        `credential_header` is the whole value of Authorization, "" for none. `before_first_byte` is called once,
        connected and with nothing sent yet; what it raises comes out of here unchanged, and nothing is sent.
        """
        started = time.monotonic()
        deadline = Deadline(self._connect_timeout + self._read_timeout + 1, self._read_timeout)
        try:
            target = _target(request.url)
            data = _written(request, target, credential_header)
            connection = self._connect(target)
        except (OSError, ValueError) as error:
            return _failed("unreachable", error, started)
        if not self._may_depart(target, connection, deadline, before_first_byte):
            return _failed("unreachable", TimeoutError(), started)
        try:
            connection.send(data, deadline)
            reading = connection.receive(self._max_answer_bytes, deadline)
        except BaseException as error:  # bytes are out: even a fault in a library lost the answer
            connection.close()
            if isinstance(error, Exception):
                return _failed("lost_answer", error, started)
            raise
        self._put_back(target, connection, reusable=reading.keeps_alive)
        detail = f"the answer is larger than {self._max_answer_bytes} bytes" if reading.truncated else ""
        body, ms = bytes(reading.body), _ms_since(started)
        return Answer(reading.status, reading.headers, body, detail=detail, ms=ms, truncated=reading.truncated)

    def _connect(self, target: Target) -> Connection:
        """Take a kept connection that nothing has happened to, or make one."""
        idle = self._idle[target[:3]]
        while (kept := _pop(idle)) is not None:
            if time.monotonic() - kept.used_at <= MAX_IDLE_S and kept.is_quiet():
                return kept
            kept.close()
        return Connection(target, self._connect_timeout, self._tls)

    def _may_depart(
        self,
        target: Target,
        connection: Connection,
        deadline: Deadline,
        before_first_byte: Callable[[], None] | None,
    ) -> bool:
        """Ask for leave, unless there is too little time left for an answer; no where leave itself took all of it."""
        in_time = deadline.has(self._read_timeout / 2)
        if in_time and before_first_byte is not None:
            try:
                before_first_byte()
            except BaseException:
                self._put_back(target, connection, reusable=True)
                raise
            in_time = deadline.has(0)
        if not in_time:
            self._put_back(target, connection, reusable=True)
        return in_time

    def _put_back(self, target: Target, connection: Connection, *, reusable: bool) -> None:
        idle = self._idle[target[:3]]
        if reusable and len(idle) < self._pool_size:
            idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close all kept connections."""
        for idle in self._idle.values():
            while idle:
                idle.pop().close()


def _pop(idle: deque[Connection]) -> Connection | None:
    try:
        return idle.pop()
    except IndexError:
        return None


def _written(request: Request, target: Target, credential_header: str) -> bytes:
    """Write the whole request. Raises ValueError for what no header can hold."""
    headers = {**request.headers, "User-Agent": user_agent(), "Accept-Encoding": "identity"}
    if credential_header:
        headers["Authorization"] = credential_header
    if request.body:
        headers["Content-Length"] = str(len(request.body))
    return head_of(request.method, target, headers) + request.body


def _failed(failure: Failure, error: BaseException, started: float) -> Answer:
    return Answer(None, failure=failure, detail=_words(error), ms=_ms_since(started))


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


@functools.cache
def user_agent() -> str:
    """Return `gaugepost/<version>`; a source tree that was never installed has no version."""
    try:
        return f"gaugepost/{metadata.version('gaugepost')}"
    except metadata.PackageNotFoundError:
        return "gaugepost/0"


def _words(error: BaseException) -> str:
    """Say what went wrong in words and a class name, and nothing of its text: that may quote a header or a URL."""
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    name = type(cause).__name__
    return f"{_WORDS[name]} ({name})" if name in _WORDS else name
