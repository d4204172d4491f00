"""One exchange over HTTP, and the truth about whether anything of it went out. The one file with requests in it.

What a job may do after a failure depends on one fact: whether its first byte had left. requests does not tell, its
ConnectionError stands for both. So our connections tell: their first `send`, which is after connect and TLS
handshake, reports to the flight that is under way on this thread. Before it a failure is `unreachable`, after it
`lost_answer`, whatever its type.

requests' adapter is called without a Session: a Session adds cookies, hooks, proxies from the environment and, even
when told not to follow a redirect, reads the whole of its body. The adapter does none of that.
"""

from __future__ import annotations

import functools
import http.client
import io
import ssl
import threading
import time
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

from gaugepost_tasks.messages import Answer, Request

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

MAX_IDLE_S = 4.0
"""A kept connection idle for longer is not used again: servers close theirs from 5 s on, and a request that meets
such a close looks exactly like a lost answer."""

_BLOCK = 16_384
_TRANSPORT_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,  # a URL or a header that cannot be written
)
_WORDS: Mapping[str, str] = {
    "ConnectionRefusedError": "connection refused",
    "ConnectionResetError": "connection reset",
    "BrokenPipeError": "connection closed while sending",
    "RemoteDisconnected": "connection closed without an answer",
    "IncompleteRead": "body shorter than announced",
    "SSLCertVerificationError": "certificate not trusted",
    "TimeoutError": "timed out",
    "ReadTimeoutError": "timed out",
    "ConnectTimeoutError": "connecting timed out",
    "gaierror": "host name not found",
    "NameResolutionError": "host name not found",
}
_flying = threading.local()


class _NotSent(Exception):  # noqa: N818 - a signal, not an error
    """`before_first_byte` refused. No OSError, which urllib3 would take for the connection's."""


class _Flight:
    """One exchange under way: its deadlines, and whether its first byte has left."""

    def __init__(self, read_timeout: float, total: float, before_first_byte: Callable[[], None] | None) -> None:
        self._read_timeout = read_timeout
        self._deadline = time.monotonic() + total
        self._before_first_byte = before_first_byte
        self.sent = False
        self.refusal: BaseException | None = None

    def time_left(self) -> float:
        """Return how long the next read or write may take. Raises TimeoutError past the total deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the total deadline has passed")
        return min(left, self._read_timeout)

    def departs(self) -> None:
        """Note that bytes go out now; before the first of them ask whether they may."""
        if self.sent:
            return
        if self.time_left() < self._read_timeout / 2:
            raise TimeoutError("connecting took so long that the answer may come too late")
        if self._before_first_byte is not None:
            self._ask(self._before_first_byte)
        self.time_left()
        self.sent = True

    def _ask(self, before_first_byte: Callable[[], None]) -> None:
        try:
            before_first_byte()
        except BaseException as refusal:  # noqa: BLE001 - `exchange` raises it again
            self.refusal = refusal
            raise _NotSent from None


class _TimedReader(io.RawIOBase):
    """Reads a socket so that not each read has its time-out but all of them have one deadline: answers can trickle."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, flight: _Flight) -> None:
        self._raw, self._sock, self._flight = raw, sock, flight

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - WriteableBuffer is typeshed's own
        self._sock.settimeout(self._flight.time_left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer, head and body, under the deadline of the flight on this thread."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - http.client's own
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock, _flying.flight))


class _Connection(HTTPConnection):
    """Tells the flight of the first byte, and does not go on with a connection that was idle too long."""

    response_class = _TimedResponse
    _used_at = 0.0

    def connect(self) -> None:
        super().connect()
        self._used_at = time.monotonic()

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - urllib3's own
        if time.monotonic() - self._used_at > MAX_IDLE_S:
            self.close()
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:  # noqa: ANN401 - http.client's own
        if self.sock is None:
            self.connect()
        flight: _Flight = _flying.flight
        flight.departs()
        view = memoryview(data)
        for start in range(0, len(view), _BLOCK):
            self.sock.settimeout(flight.time_left())  # pyright: ignore[reportOptionalMemberAccess] - connected above
            super().send(view[start : start + _BLOCK])

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override] # urllib3 overrides it so
        answer = super().getresponse()
        self._used_at = time.monotonic()
        return answer


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType] - urllib3 declares a protocol too narrow


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection  # pyright: ignore[reportAssignmentType]


class _Adapter(HTTPAdapter):
    """requests' adapter over connections that tell, with one TLS context made once.

    requests reads the file of authorities anew for each connection, some 20 ms each; here `cert_verify` has nothing
    left to do, because the context already demands a trusted certificate of the right name.
    """

    def __init__(self, pool_size: int, authorities: str) -> None:
        self._tls = create_urllib3_context()
        self._tls.verify_mode = ssl.CERT_REQUIRED
        self._tls.load_verify_locations(authorities)
        super().__init__(pool_connections=8, pool_maxsize=pool_size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - requests' own
        super().init_poolmanager(*args, ssl_context=self._tls, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # noqa: ANN401 - requests' own
        pass


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
        self._adapter = _Adapter(pool_size, ca_file or certifi.where())

    def exchange(
        self, request: Request, credential_header: str, before_first_byte: Callable[[], None] | None = None
    ) -> Answer:
        """Send a request once and return what came of it, never following a redirect and never sending again.

        `credential_header` is the whole value of Authorization, "" for none. `before_first_byte` is called once,
        connected and with nothing sent yet; what it raises comes out of here unchanged, and nothing is sent.
        """
        started = time.monotonic()
        total = self._connect_timeout + self._read_timeout + 1
        flight = _flying.flight = _Flight(self._read_timeout, total, before_first_byte)
        try:
            answer = self._send(_prepare(request, credential_header))
        except Exception as error:  # once bytes are out, even a fault in a library lost the answer
            if not flight.sent and not isinstance(error, (_NotSent, *_TRANSPORT_ERRORS)):
                raise
            answer = Answer(None, failure="lost_answer" if flight.sent else "unreachable", detail=_words(error))
        finally:
            del _flying.flight
        if flight.refusal is not None:
            raise flight.refusal
        return replace(answer, ms=round((time.monotonic() - started) * 1000))

    def _send(self, prepared: requests.PreparedRequest) -> Answer:
        timeouts = (self._connect_timeout, self._read_timeout)
        response = self._adapter.send(prepared, stream=True, timeout=timeouts, verify=True)
        try:
            headers = {name.lower(): value for name, value in response.raw.headers.items()}
            body, truncated = self._read(response)
        finally:
            response.close()
        detail = f"the answer is larger than {self._max_answer_bytes} bytes" if truncated else ""
        return Answer(response.status_code, headers, body, detail=detail, truncated=truncated)

    def _read(self, response: requests.Response) -> tuple[bytes, bool]:
        body = bytearray()
        for chunk in response.raw.stream(_BLOCK, decode_content=True):
            body += chunk
            if len(body) > self._max_answer_bytes:
                return bytes(body[: self._max_answer_bytes]), True
        return bytes(body), False

    def close(self) -> None:
        """Close all kept connections."""
        self._adapter.close()


def _prepare(request: Request, credential_header: str) -> requests.PreparedRequest:
    """Fill in a PreparedRequest: all parts are ready, and to prepare them again costs more than to send them."""
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url = request.method, request.url
    prepared.body = request.body or None
    headers = {**request.headers, "User-Agent": user_agent(), "Accept-Encoding": "identity"}
    if credential_header:
        headers["Authorization"] = credential_header
    if request.body:
        headers["Content-Length"] = str(len(request.body))
    prepared.headers = CaseInsensitiveDict(headers)
    return prepared


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
