"""Start and stop the processes of the demo. They end when the demo ends, even if it is killed.

Redis, logs and settings are in `.gaugepost/demo`, which is emptied at the start. The user's own settings for gaugepost,
Celery and Flower do not reach the processes. Secrets go to them by the environment, never as arguments.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self

from dotenv import dotenv_values

from gaugepost import local_processes
from gaugepost.regions import Region
from gaugepost.settings import PREFIX, Settings
from gaugepost_ops import embedded_redis
from gaugepost_ops.demo import gateway, ports
from gaugepost_ops.demo.control import Control, answers
from gaugepost_ops.demo.errors import DemoFailed

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from gaugepost.client import Producer

UPLOAD_INTERVAL_S = 3
_START_DEADLINE_S = 45.0
_STOP_DEADLINE_S = 15.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Environment:
    """Redis, settings and processes of one demo. Use it in a `with` statement, whose end stops all of them."""

    def __init__(self) -> None:
        self.folder = embedded_redis.home() / embedded_redis.DEMO
        self.settings_file = self.folder / "environment"
        self.values: dict[str, str] = {}
        self.control = Control("")
        self.flower_url = ""
        self.gateway: gateway.GatewayCalls | None = None
        """None without the extra `web`."""
        self._parts: list[_Part] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Lock and empty the folder, start Redis in it, and choose a port for the simulator. Raises DemoFailed."""
        self.folder.parent.mkdir(mode=0o700, exist_ok=True)
        lock = self._open.enter_context((self.folder.parent / "demo.lock").open("a"))
        try:
            self._prepare(lock)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _prepare(self, lock: IO[str]) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFailed(f"another demo runs in {self.folder}: stop it with Ctrl-C, then try again") from None
        _wipe(self.folder)
        redis_url = embedded_redis.url(self.folder)
        self._open.callback(embedded_redis.leave, self.folder)
        # Workers start before the simulator and cannot reach it. Until it starts, this socket reserves its port.
        self._reserved = self._open.enter_context(socket.socket())
        self._reserved.bind(("127.0.0.1", 0))
        self.control = Control(f"http://127.0.0.1:{self._reserved.getsockname()[1]}")
        self.values = _values(redis_url, self.control.url)
        self._write_settings_file()

    def _write_settings_file(self) -> None:
        self.settings_file.touch(mode=0o600)
        self.settings_file.write_text("".join(f"export {name}='{value}'\n" for name, value in self.values.items()))
        self._open.callback(self.settings_file.unlink, missing_ok=True)

    def settings(self) -> Settings:
        """Return the settings of the demo, without the user's own."""
        return Settings.given(**{name.removeprefix(PREFIX).lower(): value for name, value in self.values.items()})

    # Start

    def start_parts(self) -> None:
        """Start a worker for each region, beat and Flower."""
        for region in Region:
            self._start_ours(f"worker-{region}", "worker", "--region", region, "--concurrency", "4")
        self._start_ours("beat", "beat")
        self.flower_url = self._start_server("flower", "flower", ports.FLOWER)

    def start_gateway(self, producer: Producer) -> None:
        """Start the gateway, if its extra is installed."""
        if gateway.is_installed():
            key, url = gateway.store_key(producer), self._start_server("gateway", "serve", ports.GATEWAY)
            self.gateway = gateway.GatewayCalls(url, key, gateway.sign_in_link(producer, url))

    def start_simulator(self) -> None:
        """Start the simulator on the port that the settings name. Return when it answers. Raises DemoFailed."""
        port = str(self._reserved.getsockname()[1])
        self._reserved.close()
        command = ["-m", "gaugepost_simulator", "--port", port, "--parent", str(os.getpid())]
        self._start("simulator", command)
        self._wait_for(f"{self.control.url}/_simulator/health", "the simulator")

    def wait_for_servers(self) -> None:
        """Return when Flower and the gateway answer. Raises DemoFailed."""
        for name, url in self.probes().items():
            self._wait_for(url, name)

    def probes(self) -> dict[str, str]:
        """Return the URLs at which Flower and the gateway say that they are well, by name."""
        found = {"Flower": f"{self.flower_url}/healthcheck"}
        return found | ({"the gateway": f"{self.gateway.url}/readyz"} if self.gateway else {})

    def _wait_for(self, url: str, name: str) -> None:
        deadline = time.monotonic() + _START_DEADLINE_S
        while not answers(url):
            self.check()
            if time.monotonic() > deadline:
                raise DemoFailed(f"{name} did not start; see the logs in {self.folder}")
            time.sleep(_POLL_S)

    def _start_server(self, name: str, command: str, first_port: int) -> str:
        """Start a command that has an option --port, and return its address."""
        port = self._open.enter_context(ports.reserve_port(first_port)).getsockname()[1]
        self._start_ours(name, command, "--port", str(port))
        return f"http://127.0.0.1:{port}"

    def _start_ours(self, name: str, *arguments: str) -> None:
        self._start(name, ["-m", "gaugepost_ops.demo_process", str(self.folder), *arguments])

    def _start(self, name: str, arguments: list[str]) -> None:
        log = self.folder / f"{name}.log"
        process = local_processes.start(arguments, log=log, variables=self.values, ends_with_us=True)
        self._parts.append(_Part(name, process, log))

    def check(self) -> None:
        """Raise DemoFailed, with the end of its log, if a process has ended."""
        for part in self._parts:
            code = part.process.poll()
            if code is not None:
                lines = part.log.read_text(errors="replace").splitlines()
                raise DemoFailed("\n".join([f"{part.name} ended with code {code}; {part.log} says:", *lines[-8:]]))

    # Stop

    def stop(self) -> None:
        """Stop all processes (SIGTERM; SIGKILL after 15 s), and then Redis."""
        local_processes.end((part.process for part in self._parts), _STOP_DEADLINE_S)
        self._parts.clear()
        self._open.close()


def _wipe(folder: Path) -> None:
    """Empty the folder. If a killed demo has left a Redis there, first wait until its last process has stopped it."""
    deadline = time.monotonic() + _STOP_DEADLINE_S
    while (folder / "redis.json").exists() and time.monotonic() < deadline:
        embedded_redis.url(folder)
        embedded_redis.leave(folder)
        time.sleep(_POLL_S)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)


def credentials(region: str) -> dict[str, str]:
    """Return the credentials that the simulator accepts for a region (`ops/simulator/README.md`)."""
    words = {"client_id": "client", "client_secret": "secret", "api_key": "key"}
    return {name: f"{region}-{word}" for name, word in words.items()}


def _values(redis_url: str, simulator_url: str) -> dict[str, str]:
    values = {"REDIS_URL": redis_url, "UPLOAD_INTERVAL": str(UPLOAD_INTERVAL_S), "UPLOAD_POLL": "0.5s"}
    values["WEBHOOK_NETWORKS"] = "127.0.0.0/8"  # so that a webhook to a receiver on this machine can be tried beside it
    values |= {f"{api.upper()}_URL": f"{simulator_url}/{api}/{{region}}" for api in ("auth", "imports", "api")}
    for region in Region:
        values |= {f"{region.upper()}_{name.upper()}": value for name, value in credentials(region).items()}
    return {PREFIX + name: value for name, value in values.items()}


def ignored() -> list[str]:
    """Return the names of the user's own settings, from the environment and `.env`, which the demo ignores."""
    names = {name.upper() for name in (*os.environ, *dotenv_values(".env"))}
    return sorted(name for name in names if name.startswith(local_processes.SETTINGS))
