"""Input on an idle connection: a TLS session ticket, bytes, or the end."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest
import requests

from gaugepost_tasks.http import DirectAdapter, Urllib3Adapter
from gaugepost_tasks.http.connection import has_tls_records_only, input_poll
from gaugepost_tasks.http.exchange import Exchange, Headers, target_of
from gaugepost_tasks.http.tls import tls_context
from support.faulty_server import Server, authority, ok
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("unasked", [b"early", b""], ids=["bytes", "end"])
def test_bytes_or_the_end_are_no_ticket(unasked: bytes) -> None:
    near, far = socket.socketpair()
    with near:
        far.sendall(unasked)
        far.close()
        assert not has_tls_records_only(near)


def accept_and_reset(listener: socket.socket) -> None:
    far, _ = listener.accept()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()


def test_a_reset_is_no_ticket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as near:
        accept_and_reset(listener)
        wait_until(lambda: input_poll(near).poll(0))
        assert not has_tls_records_only(near)


class ResetAtTheLastMoment(Exchange):
    """An exchange whose connection breaks between its last check and the first byte."""

    listener: socket.socket

    def start_request(self) -> None:
        super().start_request()
        accept_and_reset(self.listener)


@pytest.mark.parametrize("adapter", [DirectAdapter(), Urllib3Adapter()], ids=["direct", "urllib3"])
def test_request_that_meets_a_reset_sent_no_byte(adapter: DirectAdapter | Urllib3Adapter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        exchange = ResetAtTheLastMoment()
        exchange.listener = listener
        exchange.method, exchange.url, exchange.body = "PUT", f"http://127.0.0.1:{listener.getsockname()[1]}/", b"body"
        exchange.headers = Headers({"Content-Length": "4"})
        with pytest.raises(requests.ConnectionError):
            adapter.send(exchange, timeout=(2, 2))
    assert not exchange.first_byte_sent


def test_a_ticket_after_the_handshake_is_recognised(tmp_path: Path) -> None:
    tls, ca_file = authority(tmp_path)
    with Server(ok(), tls=tls) as server:
        origin = target_of(server.url).origin
        with tls_context(ca_file).wrap_socket(
            socket.create_connection((origin.host, origin.port)), server_hostname=origin.host
        ) as near:
            wait_until(lambda: input_poll(near).poll(0))
            assert has_tls_records_only(near)
