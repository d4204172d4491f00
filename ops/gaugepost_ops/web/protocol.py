"""HTTP/1.1 on one connection. A client that offers another protocol is served as if it had not."""

from __future__ import annotations

import sys

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which ignores `Upgrade`, as RFC 9110 (section 7.8) allows.

    Java's HttpClient offers HTTP/2 in each request without TLS. httptools then takes the body for bytes of HTTP/2: the
    application got an empty body, and the body was read as the next request (uvicorn's issue 2722).
    """

    _data = b""
    """What the parser reads now."""
    _again = b""
    """What it must read next: a request without its offer, and what came after it."""

    def data_received(self, data: bytes) -> None:
        self._data = data
        super().data_received(data)
        while self._again:  # a loop, since hundreds of requests may have come at once
            self._data, self._again = self._again, b""
            super().data_received(self._data)

    def on_headers_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Have the request read again without its header `Upgrade`. uvicorn calls this in its exception handler."""
        offer = sys.exception()
        assert isinstance(offer, httptools.HttpParserUpgrade)  # noqa: S101 - see above
        if self.parser.get_method() == b"CONNECT":
            self.send_400_response("This server is no proxy.")
            return
        version = self.parser.get_http_version().encode()
        first = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)
        lines = [first, *(b"%s: %s" % header for header in self.headers if header[0] != b"upgrade")]
        [read] = offer.args
        self.parser = httptools.HttpRequestParser(self)
        self._again = b"\r\n".join([*lines, b"", self._data[read:]])
