"""An egress proxy in a process of its own. It knows only CONNECT, and may ask for a password.

    python connect_proxy.py PORT LOG [USER:PASSWORD] [STATUS] [PEM]

It answers CONNECT with STATUS (200: a tunnel), and writes a line to LOG for each: the status and the target.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Self
from urllib.parse import quote

from support.redis_server import free_port
from support.wait import wait_until


class ConnectProxy:
    """Start and stop the proxy; its port stays the same."""

    def __init__(self, folder: Path, *, login: str = "", status: int = 200, pem: str = "") -> None:
        self.port = port = free_port()
        self._login = login
        self._log = folder / f"proxy-{port}.log"
        self._arguments = [str(port), str(self._log), login, str(status), pem]
        self._scheme = "https" if pem else "http"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        user, _, password = self._login.partition(":")
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if self._login else ""
        return f"{self._scheme}://{login}127.0.0.1:{self.port}"

    def start(self) -> Self:
        self._log.write_text("")
        self._process = subprocess.Popen([sys.executable, "-m", "support.connect_proxy", *self._arguments], cwd=TESTS)
        wait_until(lambda: "listening" in self._log.read_text(), what="the proxy listens")
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.kill()

    def asked(self) -> list[str]:
        """Return the log of requests since the start, such as `200 127.0.0.1:443`."""
        return self._log.read_text().splitlines()[1:]


TESTS = Path(__file__).parents[1]


class _Proxy:
    def __init__(self, log: Path, login: str, status: int) -> None:
        self._log = log
        self._wanted = f"Basic {base64.b64encode(login.encode('latin-1')).decode()}" if login else None
        self._status = status

    def note(self, line: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{line}\n")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            sent = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
            status = self._status if method == "CONNECT" else 405
            if self._wanted is not None and sent.get("Proxy-Authorization") != self._wanted:
                status = 407
            self.note(f"{status} {target}")
            if status == 200:
                await self._tunnel(target, reader, writer)
            else:
                writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 4\r\n\r\nno!\n" % status)
                await writer.drain()
        writer.close()

    async def _tunnel(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = target.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _run(port: str, log: str, login: str, status: str, pem: str) -> None:
    proxy = _Proxy(Path(log), login, int(status))
    tls = None
    if pem:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pem)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", int(port), ssl=tls)
    proxy.note("listening")
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_run(*sys.argv[1:]))
