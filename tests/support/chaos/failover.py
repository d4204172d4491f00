"""Fail over from a master to a replica that lags, by sentinels."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import redis

from support.redis_server import MASTER, RedisServer, Watched
from support.wait import wait_until


class Pair:
    """Replaces the single Redis of a run. Its master dies while the replica lags."""

    def __init__(self, folder: Path) -> None:
        self._watched = Watched(folder, down_after_ms=1_000)
        self._servers = [self._watched.master, self._watched.replica]
        self.url = self._watched.url

    def start(self) -> Pair:
        self._watched.__enter__()
        return self

    def stop(self) -> None:
        self._watched.__exit__()

    def client(self) -> redis.Redis:
        """Return a client for the master that the sentinels name."""
        return self._master().client()

    def is_whole(self) -> bool:
        """Return whether the master that the sentinels name has a complete replica."""
        with contextlib.suppress(redis.RedisError, StopIteration), self.client() as client:
            there = client.info("replication")
            return there["role"] == "master" and there["connected_slaves"] == 1 and there["slave0"]["state"] == "online"
        return False

    def lag(self) -> None:
        """Stop replication: fill the replica's sockets, or it would read their content afterwards."""
        self._signal(self._replica(), signal.SIGSTOP)
        with self.client() as client:
            for n in range(32):
                client.set(f"filler:{n}", bytes(1_000_000))

    def fail_over(self) -> None:
        """Kill the master and resume the replica, which lacks the last writes."""
        master, replica = self._master(), self._replica()
        master.kill()
        self._signal(replica, signal.SIGCONT)

    def mend(self) -> None:
        """Start the server that is down: it becomes the replica of the other."""
        for server in self._servers:
            self._signal(server, signal.SIGCONT)
            server.start()

    def calm(self) -> None:
        """Wait until both servers run, one as the replica of the other."""
        self.mend()
        wait_until(self.is_whole, what="a master and its replica")

    def _master(self) -> RedisServer:
        port = self._named()
        return next(server for server in self._servers if server.port == port)

    def _replica(self) -> RedisServer:
        port = self._named()
        return next(server for server in self._servers if server.port != port)

    def _named(self) -> int:
        for port in self._watched.ports:
            with contextlib.suppress(redis.RedisError), redis.Redis(port=port, socket_timeout=1) as client:
                return int(client.sentinel_master(MASTER)["port"])
        raise redis.ConnectionError("no sentinel answers")

    @staticmethod
    def _signal(server: RedisServer, number: signal.Signals) -> None:
        if server.process is not None and server.process.poll() is None:
            server.process.send_signal(number)
