"""A server that sends scripted answers byte by byte, and can fail in every way that connections fail."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import socket
import ssl
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Step = "Callable[[socket.socket, Server], bool]"
"""One way to answer one request. Returns whether the connection stays open."""


def says(raw: bytes, *, go_on: bool = True) -> Step:
    def answer(sock: socket.socket, server: Server) -> bool:
        sock.sendall(raw)
        return go_on

    return answer


def ok(body: bytes = b"fine", *, go_on: bool = True) -> Step:
    return says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), go_on=go_on)


def resets(raw: bytes = b"") -> Step:
    """Send a part of an answer, then reset the connection."""

    def answer(sock: socket.socket, server: Server) -> bool:
        sock.sendall(raw)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return answer


def stalls(raw: bytes = b"") -> Step:
    """Send a part of an answer, then nothing until the server stops."""

    def answer(sock: socket.socket, server: Server) -> bool:
        sock.sendall(raw)
        server.over.wait(30)
        return False

    return answer


def trickles(raw: bytes) -> Step:
    """Send one byte at a time, each within the read timeout, without an end."""

    def answer(sock: socket.socket, server: Server) -> bool:
        sock.sendall(raw)
        while not server.over.wait(0.05):
            sock.sendall(b"x")
        return False

    return answer


def tunnels(port: int) -> Step:
    """Answer CONNECT as a proxy does, and forward bytes both ways until one side closes."""

    def answer(sock: socket.socket, server: Server) -> bool:
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as far:
            sock.settimeout(0.05)
            far.settimeout(0.05)
            while not server.over.is_set() and _passes(sock, far) and _passes(far, sock):
                pass
        return False

    return answer


def _passes(near: socket.socket, far: socket.socket) -> bool:
    try:
        data = near.recv(65_536)
    except TimeoutError:
        return True
    far.sendall(data)
    return bool(data)


class Server:
    """Answers each request with the next step; `requests` and `connections` record what it received."""

    def __init__(self, *steps: Step, tls: ssl.SSLContext | None = None) -> None:
        self.steps = list(steps)
        self.tls = tls
        self.requests: list[bytes] = []
        self.connections = 0
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._threads: list[threading.Thread] = []
        self._socks: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}/path"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections, and refuse new ones."""
        self.over.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def hang_up(self) -> None:
        """End all connections, as a server does with idle ones."""
        for sock in self._socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _start(self, run: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.over.is_set():
            with suppress(OSError):
                sock, _ = self._listener.accept()
                self.connections += 1
                self._socks.append(sock)
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(30)
        with suppress(OSError), sock:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with sock:
                while (raw := self._receive(sock)) and not self.over.is_set():
                    self.requests.append(raw)
                    if not self.steps.pop(0)(sock, self):
                        return

    def _receive(self, sock: socket.socket) -> bytes:
        """Read one whole request; return nothing when the client closes or the test ends."""
        raw = b""
        sock.settimeout(0.05)
        while not self.over.is_set():
            head, end, body = raw.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            if end and len(body) >= int(length[1] if length else 0):
                sock.settimeout(30)
                return raw
            try:
                got = sock.recv(65536)
            except TimeoutError:
                continue
            if not got:
                break
            raw += got
        return b""


def authority(folder: Path, name: str = "127.0.0.1") -> tuple[ssl.SSLContext, str]:
    """Return a server's TLS context with a self-signed certificate, and the file of that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    day = dt.datetime.now(dt.UTC)
    is_address = name[-1].isdigit()
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address(name)) if is_address else x509.DNSName(name)]
    )
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, day - dt.timedelta(1), day + dt.timedelta(1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, str(file)
