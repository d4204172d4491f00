"""One exchange: a prepared request, the limits of its answer, and its progress."""

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
"""The default limit of a body."""

MAX_IDLE_S = 4.0
"""Do not reuse a connection that was idle for longer. Servers close idle connections after 5 s or more, and a request
that meets such a close looks exactly like a lost answer."""

_PORTS = {"http": 80, "https": 443}
_GRANULARITY_S = 0.2  # set a socket's timeout at most this often: each time is a system call
_SMALLEST_WAIT_S = 0.001


class Headers(CaseInsensitiveDict[str]):
    """requests' headers, but three times as fast to build and list."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._store = {name.lower(): (name, value) for name, value in headers.items()}

    def add(self, name: str, value: str) -> None:
        """Add a header. Join the values of one name by commas."""
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
    content = Body(0)  # `begin` replaces it

    @classmethod
    def of(cls, request: PreparedRequest) -> Exchange:
        """Convert a request that a `requests.Session` prepared."""
        if isinstance(request, cls):
            return request
        exchange = cls()
        vars(exchange).update(vars(request))
        exchange.headers = Headers(request.headers)
        return exchange

    def begin(self, connect: float, read: float) -> None:
        """Start the deadline: the whole exchange takes at most `connect + read + 1` seconds."""
        self.deadline = Deadline(connect + read + 1, read)
        self.content = Body(self.max_answer_bytes)

    def run_hook(self) -> None:
        """Call `before_first_byte`. Keep its exception in `hook_error`: it is no failure of the transport.

        Raises TimeoutError if too little time is left for an answer.
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
        """Mark the next bytes as bytes of the request. Raises TimeoutError after the deadline."""
        self.deadline.time_left()
        self.request_started = True

    def send_some(self, sock: socket.socket, data: memoryview) -> int:
        """Pass bytes to the operating system. Return how many it took.

        If the connection broke meanwhile, this raises before any byte is taken. TLS takes whole records; a receiver
        can do nothing with a part of one.
        """
        taken = sock.send(data)
        self.first_byte_sent = self.request_started
        return taken

    def head(self, target: Target) -> bytes:
        """Return the head of the request. Raises ValueError for a line break or NUL in a header."""
        lines = [f"{self.method} {target.path} HTTP/1.1", f"Host: {target.host_header}", *self.headers.lines()]
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
            raise ValueError("a header with a line break in it")
        return f"{text}\r\n\r\n".encode("latin-1")

    def payload(self) -> bytes:
        """Return the body of the request as bytes."""
        return self.body.encode() if isinstance(self.body, str) else self.body or b""


class Reply(Response):
    """A response with its body. It costs a tenth of requests' own, which makes a cookie jar each time."""

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
        """Return an empty jar: the adapters keep no cookies."""
        return RequestsCookieJar()

    @functools.cached_property
    def encoding(self) -> str | None:  # type: ignore[override]
        """Return the encoding that the headers name."""
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
    """The parts of a URL that a request needs."""

    origin: Origin
    host_header: str
    path: str


@functools.lru_cache(maxsize=256)
def target_of(url: str) -> Target:
    """Split a URL. Raises ValueError unless it is http or https with a host."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not an http or https URL with a host")
    origin = Origin(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    host_header = host if origin.port == _PORTS[origin.scheme] else f"{host}:{origin.port}"
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe="%/:=&?~+!$,;'@()*")
    return Target(origin, host_header, path)


def is_stale(used_at: float) -> bool:
    """Return whether a connection has been idle for too long. `used_at`: monotonic time in seconds."""
    return time.monotonic() - used_at > MAX_IDLE_S


def timeouts(timeout: Any, default: tuple[float, float]) -> tuple[float, float]:  # noqa: ANN401 - what requests takes
    """Return (connect, read) from a timeout of requests: one number or a pair. None means the default."""
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return (default[0] if connect is None else connect, default[1] if read is None else read)


class Deadline:
    """Limits each read and write to `each` seconds, and all together to `total`, because answers can trickle."""

    def __init__(self, total: float, each: float) -> None:
        self._ends = time.monotonic() + total
        self._each = each
        self._set_at = float("-inf")

    def time_left(self) -> float:
        """Return the seconds for the next read or write. Raises TimeoutError after the deadline."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, self._each)

    def require_half(self) -> None:
        """Raise TimeoutError if less than half of `each` is left for an answer."""
        if self._ends - time.monotonic() <= self._each / 2:
            raise TimeoutError

    def limit(self, sock: socket.socket) -> None:
        """Set the timeout of a socket for its next read or write."""
        left, now = self.time_left(), time.monotonic()
        if left < self._each or now - self._set_at > _GRANULARITY_S:
            sock.settimeout(max(left, _SMALLEST_WAIT_S))
            self._set_at = now
