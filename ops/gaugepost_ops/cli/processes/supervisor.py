"""Several processes side by side: one that dies is started anew, a signal ends all of them warmly.

They end with the supervisor, however it ends: each waits for the end of a pipe that only the supervisor holds. Orphans
would work on with nobody to look after them, beside those of the next supervisor.
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
    """Run several worker processes, start anew those that die, pass signals on; return the exit code."""
    commands = [[sys.executable, "-m", "gaugepost_ops", *arguments] for _ in range(processes)]
    return Supervisor(commands, metrics_port).run()


class Supervisor:
    """Runs commands side by side until it is told to stop; each shows its metrics on a port of its own, if any does."""

    def __init__(self, commands: list[list[str]], metrics_port: int | None = None) -> None:
        self._commands = commands
        self._metrics_port = metrics_port
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Start all of them, keep them running, and on SIGTERM or SIGINT end them warmly."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for slot in range(len(self._commands)):
            self._start(slot)
        while self._children:
            self._look_after()
            time.sleep(0.1)
        return self._code

    def _start(self, slot: int) -> None:
        # A group of its own: Ctrl-C reaches this process alone, which then ends the others warmly, once.
        child = self._children[slot] = subprocess.Popen(  # noqa: S603
            self._commands[slot],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | self._ports(slot) | {_SUPERVISED: "1"},
        )
        if self._stopping:  # the signal came before this one was there to be told
            child.send_signal(signal.SIGTERM)

    def _ports(self, slot: int) -> dict[str, str]:
        return {} if self._metrics_port is None else {f"{PREFIX}METRICS_PORT": str(self._metrics_port + slot)}

    def _look_after(self) -> None:
        for slot, child in list(self._children.items()):
            if child.poll() is None:
                continue
            del self._children[slot]
            if self._stopping:
                continue
            if child.returncode == Exit.NOT_PERMITTED:  # it said why, and a start anew would not help
                self._code = child.returncode
                self._stop()
                continue
            log.warning("process ended; starting it anew", command=self._commands[slot][2:], code=child.returncode)
            time.sleep(_RESTART_PAUSE_S)
            self._start(slot)

    def _stop(self, *_: object) -> None:
        self._stopping = True
        for child in self._children.values():
            child.send_signal(signal.SIGTERM)


def end_with_supervisor() -> None:
    """End this process warmly when its supervisor is gone, if it has one."""
    if os.environ.pop(_SUPERVISED, None):
        threading.Thread(target=_watch, name="supervised", daemon=True).start()


def _watch() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing ever comes but the end
    log.warning("the supervisor is gone: ending")
    os.kill(os.getpid(), signal.SIGTERM)
