"""Start Redis servers that tests can kill, freeze and restart, and sentinels over two of them."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import redis

from gaugepost_ops.embedded_redis import server_program, wheel_program
from support.wait import wait_until

MASTER = "mymaster"
# Below the ports that Linux lends to outgoing connections: none of those takes a port before its server binds it, or
# while its server is down. Above 10080, the last one in between that Chromium refuses to open. Each process of a test
# run has its own, and lends each once: a server may bind its port seconds later, or be down for a while.
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
_PORTS = range(11_000 + _PROCESS * 2_700, 11_000 + (_PROCESS + 1) * 2_700)
_lent = set[int]()
# Each change is in the file before Redis answers, and survives a kill of the process. With `everysec`, Redis holds
# changes back while it waits for the disk, for up to 2 s: a kill then loses some that it answered.
_WRITTEN_AT_ONCE = ("--appendfsync", "no")


def free_port(in_a_row: int = 1) -> int:
    """Return a free port, the first of `in_a_row` free ones."""
    while True:
        first = random.choice(_PORTS[:-in_a_row])
        wanted = range(first, first + in_a_row)
        if _lent.isdisjoint(wanted) and all(map(_is_free, wanted)):
            _lent.update(wanted)
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


class RedisServer:
    """A redis-server on a fixed port, by default with its append-only file on."""

    def __init__(self, folder: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        """`env` is for libfaketime. The server is the wheel's then, since that of Debian 13 does not start so."""
        self.folder = folder
        self._env = os.environ | (env or {})
        self._program = server_program() if env is None else wheel_program()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None
        self._options = options

    def start(self, *, wait: bool = True) -> Self:
        """Start the server, unless it runs. With `wait`, return when it has read its append-only file and answers."""
        if self.process is not None and self.process.poll() is None:
            return self
        program = self._program
        assert program is not None, "these tests need a redis-server, or the extra 'embedded'"
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        argv = [program, *where, "--save", "", "--appendonly", "yes", *_WRITTEN_AT_ONCE, *self._options]
        self.process = subprocess.Popen(
            argv,
            cwd=self.folder,
            env=self._env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            restore_signals=False,  # SIGXFSZ stays ignored: a file that may not grow is an error, not the end
        )
        if wait:
            wait_until(self.answers)
        return self

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the Redis server of this test did not start"
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=60, socket_connect_timeout=1)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Kill the server, and start it again at the end."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the server's process for a while: connections stay open without answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def disk_full(self) -> Iterator[None]:
        """Let none of its files grow for a while, as a full disk does, also when root runs the tests."""
        assert self.process is not None
        size = max(path.stat().st_size for path in self.folder.rglob("*.aof"))
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, unlimited)


@contextlib.contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[str]:
    """Run a server without persistence; yield its URL."""
    server = RedisServer(folder, "--appendonly", "no", *options)
    try:
        yield server.start().url
    finally:
        server.stop()


class Watched:
    """A master, a replica of it, and three sentinels, each a process of its own, with a password."""

    password = "open: sesame/1"

    def __init__(self, folder: Path, down_after_ms: int = 600_000) -> None:
        self.down_after_ms = down_after_ms
        auth = ("--requirepass", self.password, "--masterauth", self.password)
        self.master = self._server(folder / "master", *auth)
        self.replica = self._server(folder / "replica", *auth, "--replicaof", "127.0.0.1", str(self.master.port))
        self.folder = folder
        self.ports = [free_port() for _ in range(3)]
        self._sentinels: list[subprocess.Popen[bytes]] = []

    @staticmethod
    def _server(folder: Path, *options: str) -> RedisServer:
        folder.mkdir()
        server = RedisServer(folder, "--repl-diskless-sync-delay", "0", *options)
        server.url = f"redis://:{quote(Watched.password, safe='')}@127.0.0.1:{server.port}/0"
        return server

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"sentinel://:{quote(self.password, safe='')}@{hosts}/{MASTER}/0"

    def __enter__(self) -> Self:
        self.master.start()
        self.replica.start()
        for port in self.ports:
            self._watch(port)
        wait_until(self._all_know_each_other, what="three sentinels that know each other and the replica")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._sentinels:
            process.kill()
            process.wait()
        self.master.stop()
        self.replica.stop()

    def _watch(self, port: int) -> None:
        settings = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"logfile sentinel-{port}.log",
            f"sentinel monitor {MASTER} 127.0.0.1 {self.master.port} 2",
            f'sentinel auth-pass {MASTER} "{self.password}"',
            f"sentinel down-after-milliseconds {MASTER} {self.down_after_ms}",
            f"sentinel failover-timeout {MASTER} 5000",
        ]
        path = self.folder / f"sentinel-{port}.conf"
        path.write_text("\n".join(settings) + "\n")
        argv = [str(server_program()), str(path), "--sentinel"]
        self._sentinels.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def _views_of_master(self) -> list[dict[str, Any]]:
        """Return each sentinel's view of the master."""
        views = []
        for port in self.ports:
            with redis.Redis(port=port, socket_timeout=1) as client:
                views.append(client.sentinel_master(MASTER))
        return views

    def _all_know_each_other(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return all(one["num-other-sentinels"] == 2 and one["num-slaves"] == 1 for one in self._views_of_master())
        return False

    def await_promotion(self) -> None:
        """Wait until the replica is the master, and let the sentinels keep it, however slow it gets.

        On a busy machine they else find the new master down too, and make the old one, back as its replica, the master.
        """
        self._set_down_after(1_000)
        wait_until(self._promoted, within=90, what="a new master")
        self._set_down_after(600_000)

    def _set_down_after(self, ms: int) -> None:
        for port in self.ports:
            with redis.Redis(port=port) as client:
                client.sentinel_set(MASTER, "down-after-milliseconds", ms)

    def _promoted(self) -> bool:
        """Return whether the replica is the master for all sentinels."""
        with contextlib.suppress(redis.RedisError), self.replica.client() as client:
            known = all(one["port"] == self.replica.port and not one["is_sdown"] for one in self._views_of_master())
            return known and bool(client.role()[0] == b"master")
        return False
