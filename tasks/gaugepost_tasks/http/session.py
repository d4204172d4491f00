"""The client of gaugepost: sends a request through an adapter, and says whether anything of it went out.

What a job may do after a failure depends on one fact: whether its first byte had left. Before it a failure is
`unreachable`, after it `lost_answer`, whatever its type.
"""

from __future__ import annotations

import functools
import time
from importlib import metadata
from typing import TYPE_CHECKING

from requests.exceptions import RequestException

from gaugepost_tasks.http.direct import DirectAdapter, tls_context
from gaugepost_tasks.http.exchange import MAX_ANSWER_BYTES, Exchange, Headers
from gaugepost_tasks.http.failures import AnswerTooLarge, words
from gaugepost_tasks.messages import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost_tasks.messages import Failure, Request


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
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        *,
        ca_file: str | None = None,
    ) -> None:
        self._timeout = (connect_timeout, read_timeout)
        self._max_answer_bytes = max_answer_bytes
        self._adapter = DirectAdapter(pool_size, tls_context(ca_file))

    def exchange(
        self,
        request: Request,
        credential_header: str,
        before_first_byte: Callable[[], None] | None = None,
        *,
        max_answer_bytes: int | None = None,
    ) -> Answer:
        """Send a request once and return what came of it, never following a redirect and never sending again.

        `credential_header` is the whole value of Authorization, "" for none. `before_first_byte` is called once,
        connected and with nothing sent yet; what it raises comes out of here unchanged, and nothing is sent.
        `max_answer_bytes`: the largest body that is read, in place of the client's own limit.
        """
        started = time.monotonic()
        exchange = _prepared(request, credential_header)
        exchange.before_first_byte = before_first_byte
        exchange.max_answer_bytes = max_answer_bytes or self._max_answer_bytes
        try:
            response = self._adapter.send(exchange, timeout=self._timeout)
        except AnswerTooLarge as error:
            cut, detail = error.reply, f"the answer is larger than {exchange.max_answer_bytes} bytes"
            ms = _ms_since(started)
            return Answer(cut.status_code, cut.headers, cut.content, detail=detail, ms=ms, truncated=True)
        except RequestException as error:
            if error is exchange.refusal:
                raise
            failure: Failure = "lost_answer" if exchange.departed else "unreachable"
            return Answer(None, failure=failure, detail=words(error), ms=_ms_since(started))
        return Answer(response.status_code, response.headers, response.content, ms=_ms_since(started))

    def close(self) -> None:
        """Close all kept connections."""
        self._adapter.close()


def _prepared(request: Request, credential_header: str) -> Exchange:
    """Fill in an exchange by hand: all parts are ready, and `prepare()` would cost more than sending them."""
    exchange = Exchange()
    exchange.method, exchange.url, exchange.body = request.method, request.url, request.body or None
    headers = {**request.headers, "User-Agent": user_agent(), "Accept-Encoding": "identity"}
    if credential_header:
        headers["Authorization"] = credential_header
    if request.body:
        headers["Content-Length"] = str(len(request.body))
    exchange.headers = Headers(headers)
    return exchange


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


@functools.cache
def user_agent() -> str:
    """Return `gaugepost/<version>`; a source tree that was never installed has no version."""
    try:
        return f"gaugepost/{metadata.version('gaugepost')}"
    except metadata.PackageNotFoundError:
        return "gaugepost/0"
