"""Choose ports for Flower and the gateway, which other demos do not choose as well."""

from __future__ import annotations

import socket

from gaugepost_ops.demo.errors import DemoFailed

FLOWER, GATEWAY = 5555, 8080
_TRIED = 1000


def reserve_port(first: int) -> socket.socket:
    """Return a UDP socket on a port that is free, from `first` on. It reserves the port against other demos.

    It is UDP because a server binds the same TCP port seconds later, which a TCP socket would prevent.
    """
    for port in range(first, first + _TRIED):
        kept = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
            try:
                kept.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                kept.close()
                continue
        return kept
    raise DemoFailed(f"no free port from {first} on")
