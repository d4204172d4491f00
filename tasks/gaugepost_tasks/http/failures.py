"""Convert errors of an exchange to requests' exceptions, and describe them without data.

Adapters raise requests' own exceptions. `Exchange.first_byte_sent` records whether the first byte was sent.
"""

from __future__ import annotations

import http.client
import re
import ssl
from typing import TYPE_CHECKING

from requests import exceptions
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost_tasks.http.exchange import Exchange, Reply

_DESCRIPTIONS: Mapping[str, str] = {
    "ConnectionRefusedError": "connection refused",
    "ConnectionResetError": "connection reset",
    "BrokenPipeError": "connection closed while sending",
    "RemoteDisconnected": "connection closed without an answer",
    "IncompleteRead": "body shorter than announced",
    "SSLCertVerificationError": "certificate not trusted",
    "TimeoutError": "timed out",
    "gaierror": "host name not found",
    "AddressRefused": "the address is not allowed",
}

_NO_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
"""http.client's message when a proxy answers CONNECT with another status than 200."""


class AnswerTooLarge(exceptions.RequestException):
    """The answer is larger than the limit. `reply` holds the answer with its body cut at the limit."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("the answer is too large", response=reply)
        self.reply = reply


def as_requests(error: Exception, exchange: Exchange) -> exceptions.RequestException | None:
    """Return requests' exception for an error; None to raise the error unchanged.

    Unchanged are exceptions of `before_first_byte` and of requests itself. So are, before the first byte, errors that
    have nothing to do with the transport.
    """
    if error is exchange.hook_error:
        return None
    tunnel_lost = (
        isinstance(error, exceptions.ProxyError) and exchange.first_byte_sent
    )  # urllib3 calls that a proxy error
    if isinstance(error, exceptions.RequestException) and not tunnel_lost:
        return None
    if not exchange.first_byte_sent and not isinstance(error, (OSError, ValueError, HTTPError)):
        return None
    return _kind_of(_cause_of(error), first_byte_sent=exchange.first_byte_sent)(type(error).__name__, request=exchange)


def _cause_of(error: BaseException) -> BaseException:
    """Return the first cause of an error. urllib3 keeps some causes only in the arguments."""
    while (deeper := error.__cause__ or error.__context__ or _wrapped_in(error)) is not None:
        error = deeper
    return error


def _wrapped_in(error: BaseException) -> BaseException | None:
    return next((part for part in error.args if isinstance(part, BaseException)), None)


def _kind_of(error: BaseException, *, first_byte_sent: bool) -> type[exceptions.RequestException]:
    match error:
        case TimeoutError():
            return exceptions.ReadTimeout if first_byte_sent else exceptions.ConnectTimeout
        case ssl.SSLError():
            return exceptions.SSLError
        case OSError():
            return exceptions.ConnectionError
        case http.client.IncompleteRead():
            return exceptions.ChunkedEncodingError
        case ValueError():
            return exceptions.ContentDecodingError if first_byte_sent else exceptions.InvalidURL
        case _:
            return exceptions.RequestException


def describe(error: BaseException) -> str:
    """Describe an error by a phrase and its class name. Leave out its text, which may quote a header or a URL."""
    cause = _cause_of(error)
    if refused := _NO_TUNNEL.match(str(cause)):
        return f"answered {refused[1]} to CONNECT"
    name = type(cause).__name__
    return f"{_DESCRIPTIONS[name]} ({name})" if name in _DESCRIPTIONS else name
