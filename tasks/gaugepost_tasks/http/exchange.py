"""One exchange: the prepared request, the limits of its answer, and how far it has come."""

from __future__ import annotations

import datetime as dt
import functools
import io
import time
from http.client import responses
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from requests import PreparedRequest, Response
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from gaugepost_tasks.http.body import Body

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from requests.adapters import BaseAdapter

MAX_ANSWER_BYTES = 1_000_000
"""The largest body that is read, unless the exchange says otherwise."""

MAX_IDLE_S = 4.0
"""A kept connection idle for longer is not used again: servers close theirs from 5 s on, and a request that meets
such a close looks exactly like a lost answer."""

_PORTS = {"http": 80, "https": 443}
_GRANULARITY_S = 0.2  # a socket's timeout is set anew only so often: each setting is a system call
_SMALLEST_WAIT_S = 0.001


class Headers(CaseInsensitiveDict[str]):
    """requests' headers, built and listed at a third of the cost."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._store = {name.lower(): (name, value) for name, value in headers.items()}

    def add(self, name: str, value: str) -> None:
        """Add a header. A second one of the same name makes it a list."""
        key = name.lower()
        known = self._store.get(key)
        self._store[key] = (name, value if known is None else f"{known[1]}, {value}")

    def lines(self) -> list[str]:
        """Return each header as a line of a request."""
        return [f"{name}: {value}" for name, value in self._store.values()]


class Exchange(PreparedRequest):
    """A prepared request, and the state of its one exchange.

    An adapter calls `before_first_byte` once, after it has connected and before it sends. What the hook raises leaves
    the adapter's `send` unchanged, and nothing is sent. `first_byte_sent` becomes true when the operating system takes
    the first byte of the request.

    The order of an adapter's calls: `begin`; connect; `run_hook`; connect again if the connection is not quiet any
    more; `start_request`; `send_some` until all is sent. It receives the body into `content`.
    """

    headers: Headers  # pyright: ignore[reportIncompatibleVariableOverride] - requests allows any mapping of its kind
    before_first_byte: Callable[[], None] | None = None
    max_answer_bytes: int = MAX_ANSWER_BYTES
    request_started: bool = False
    first_byte_sent: bool = False
    hook_error: BaseException | None = None

    @classmethod
    def of(cls, request: PreparedRequest) -> Exchange:
        """Make an exchange of a request that a `requests.Session` prepared."""
        if isinstance(request, cls):
            return request
        made = cls()
        vars(made).update(vars(request))
        made.headers = Headers(request.headers)
        return made

    def begin(self, connect: float, read: float) -> None:
        """Start the clock: all of the exchange takes `connect + read + 1` seconds at most."""
        self.deadline = Deadline(connect + read + 1, read)
        self.content = Body(self.max_answer_bytes)

    def run_hook(self) -> None:
        """Call `before_first_byte`, unless there is too little time left for an answer.

        Remember what it raises, which is no failure of the transport. Raises TimeoutError if it is too late.
        """
        self.deadline.require_half()
        if self.before_first_byte is None:
            return
        try:
            self.before_first_byte()
        except BaseException as error:
            self.hook_error = error
            raise

    def start_request(self) -> None:
        """Note that what is sent from now on is the request. Raises TimeoutError if it is too late."""
        self.deadline.time_left()
        self.request_started = True

    def send_some(self, sock: socket.socket, data: memoryview) -> int:
        """Give bytes to the operating system; return how many it took.

        It raises before it takes any where the connection broke after the last look at it. Over TLS it takes whole
        records: with a part of one a receiver can do nothing.
        """
        taken = sock.send(data)
        self.first_byte_sent = self.request_started
        return taken

    def head(self, target: Target) -> bytes:
        """Return the head of the request. Raises ValueError for what no header can hold."""
        lines = [f"{self.method} {target.path} HTTP/1.1", f"Host: {target.host_header}", *self.headers.lines()]
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
            raise ValueError("a header with a line break in it")
        return f"{text}\r\n\r\n".encode("latin-1")

    def payload(self) -> bytes:
        """Return the body of the request."""
        return self.body.encode() if isinstance(self.body, str) else self.body or b""


class Reply(Response):
    """A response whose body has been read. It costs a tenth of requests' own, which makes a cookie jar each time."""

    def __init__(
        self, request: PreparedRequest, adapter: BaseAdapter, status: int, headers: Headers, body: bytes
    ) -> None:
        self.request = request
        self.url = request.url or ""
        self.connection = adapter  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
        self.status_code = status
        self.reason = responses.get(status, "")
        self.headers = headers
        self.history = []
        self._content = body
        self._content_consumed = True
        self._next = None

    elapsed = dt.timedelta(0)

    @functools.cached_property
    def cookies(self) -> RequestsCookieJar:  # type: ignore[override]
        """Return an empty jar: cookies are not kept."""
        return RequestsCookieJar()

    @functools.cached_property
    def encoding(self) -> str | None:  # type: ignore[override]
        """Return what the headers say of the text's encoding."""
        return get_encoding_from_headers(self.headers)

    @functools.cached_property
    def raw(self) -> io.BytesIO:  # type: ignore[override]
        """Return the body as a stream."""
        return io.BytesIO(self.content or b"")


class Origin(NamedTuple):
    """A host to connect to."""

    scheme: str
    host: str
    port: int


class Target(NamedTuple):
    """Where a URL leads: a host, and what to ask it for."""

    origin: Origin
    host_header: str
    path: str


@functools.lru_cache(maxsize=256)
def target_of(url: str) -> Target:
    """Take a URL apart. Raises ValueError for one that cannot be called."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not a URL that can be called")
    origin = Origin(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    host_header = host if origin.port == _PORTS[origin.scheme] else f"{host}:{origin.port}"
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe="%/:=&?~+!$,;'@()*")
    return Target(origin, host_header, path)


def is_stale(used_at: float) -> bool:
    """Return whether a kept connection has been idle for too long."""
    return time.monotonic() - used_at > MAX_IDLE_S


def timeouts(timeout: Any, default: tuple[float, float]) -> tuple[float, float]:  # noqa: ANN401 - what requests takes
    """Read a timeout as requests does: a number for both, or a pair of connect and read. None is the default."""
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return (default[0] if connect is None else connect, default[1] if read is None else read)


class Deadline:
    """How long each read and write may take, so that all of them together end in time: answers can trickle."""

    def __init__(self, total: float, each: float) -> None:
        self._ends = time.monotonic() + total
        self._each = each
        self._set_at = float("-inf")

    def time_left(self) -> float:
        """Return how long the next read or write may take. Raises TimeoutError when all time is used up."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, self._each)

    def require_half(self) -> None:
        """Raise TimeoutError unless an answer has half the time that a read may take."""
        if self._ends - time.monotonic() <= self._each / 2:
            raise TimeoutError

    def limit(self, sock: socket.socket) -> None:
        """Let the next read or write on this socket end in time."""
        left, now = self.time_left(), time.monotonic()
        if left < self._each or now - self._set_at > _GRANULARITY_S:
            sock.settimeout(max(left, _SMALLEST_WAIT_S))
            self._set_at = now
