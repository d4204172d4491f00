"""What can go wrong in an exchange, as requests' exceptions and in words.

An adapter raises requests' own exceptions. `Exchange.first_byte_sent` says whether a byte of the request had left.
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
}

_NO_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
"""How http.client says that a proxy answered CONNECT with another status than 200."""


class AnswerTooLarge(exceptions.RequestException):
    """The answer is larger than the exchange allows. `reply` holds as much of it as that."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("the answer is too large", response=reply)
        self.reply = reply


def as_requests(error: Exception, exchange: Exchange) -> exceptions.RequestException | None:
    """Return the exception of requests that stands for an error, None for one that is to be raised as it is.

    As it is leaves what `before_first_byte` raised, and before the first byte whatever is no error of a transport.
    """
    if error is exchange.hook_error:
        return None
    tunnel_lost = (
        isinstance(error, exceptions.ProxyError) and exchange.first_byte_sent
    )  # urllib3 blames the proxy for it
    if isinstance(error, exceptions.RequestException) and not tunnel_lost:
        return None
    if not exchange.first_byte_sent and not isinstance(error, (OSError, ValueError, HTTPError)):
        return None
    return _kind_of(_cause_of(error), first_byte_sent=exchange.first_byte_sent)(type(error).__name__, request=exchange)


def _cause_of(error: BaseException) -> BaseException:
    """Return the first of the errors that led to this one. urllib3 keeps some in the arguments alone."""
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
    """Say what went wrong in words and a class name, and nothing of its text: that may quote a header or a URL."""
    cause = _cause_of(error)
    if refused := _NO_TUNNEL.match(str(cause)):
        return f"answered {refused[1]} to CONNECT"
    name = type(cause).__name__
    return f"{_DESCRIPTIONS[name]} ({name})" if name in _DESCRIPTIONS else name
