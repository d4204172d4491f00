"""Run several processes: restart one that ends, and on a signal end all of them by a warm shutdown.

The processes end with the supervisor, even if it is killed: the stdin of each is a pipe that only the supervisor holds
open. Without this, orphans would run beside the processes of the next supervisor.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import structlog

from gaugepost.settings import PREFIX
from gaugepost_ops.cli.common import Exit

log = structlog.get_logger("gaugepost.worker")

_RESTART_PAUSE_S = 1.0
_SUPERVISED = "_GAUGEPOST_SUPERVISED"


def run_processes(arguments: list[str], processes: int, metrics_port: int | None = None) -> int:
    """Run `gaugepost` with these arguments in several processes, under a supervisor. Return the exit code."""
    commands = [[sys.executable, "-m", "gaugepost_ops", *arguments] for _ in range(processes)]
    return Supervisor(commands, metrics_port).run()


class Supervisor:
    """Runs commands until a signal. With `metrics_port`, each process gets its own port, starting from this one."""

    def __init__(self, commands: list[list[str]], metrics_port: int | None = None) -> None:
        self._commands = commands
        self._metrics_port = metrics_port
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Start all commands and restart those that end. On SIGTERM or SIGINT, end all. Return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for slot in range(len(self._commands)):
            self._start(slot)
        while self._children:
            self._restart_ended()
            time.sleep(0.1)
        return self._code

    def _start(self, slot: int) -> None:
        # A session of its own: Ctrl-C reaches only the supervisor, which then sends each process one SIGTERM.
        child = self._children[slot] = subprocess.Popen(  # noqa: S603
            self._commands[slot],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | self._ports(slot) | {_SUPERVISED: "1"},
        )
        if self._stopping:  # the signal came before this process was started
            child.send_signal(signal.SIGTERM)

    def _ports(self, slot: int) -> dict[str, str]:
        return {} if self._metrics_port is None else {f"{PREFIX}METRICS_PORT": str(self._metrics_port + slot)}

    def _restart_ended(self) -> None:
        for slot, child in list(self._children.items()):
            if child.poll() is None:
                continue
            del self._children[slot]
            if self._stopping:
                continue
            if child.returncode == Exit.NOT_PERMITTED:  # it has logged why, and a restart would not help
                self._code = child.returncode
                self._stop()
                continue
            log.warning("process ended; restarting it", command=self._commands[slot][2:], code=child.returncode)
            time.sleep(_RESTART_PAUSE_S)
            self._start(slot)

    def _stop(self, *_: object) -> None:
        self._stopping = True
        for child in self._children.values():
            child.send_signal(signal.SIGTERM)


def end_with_supervisor() -> None:
    """If this process has a supervisor, end it by a warm shutdown when the supervisor has ended."""
    if os.environ.pop(_SUPERVISED, None):
        threading.Thread(target=_watch, name="supervised", daemon=True).start()


def _watch() -> None:
    os.read(sys.stdin.fileno(), 1)  # returns when the pipe is closed: the supervisor never writes to it
    log.warning("supervisor ended; shutting down")
    os.kill(os.getpid(), signal.SIGTERM)
