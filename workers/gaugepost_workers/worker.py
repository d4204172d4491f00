"""One worker process: a region's Celery worker with its executor, and a supervisor for several of them.

SIGTERM is a warm shutdown: no more is claimed, what has not begun is given back, what is out is finished and settled.
Whatever supervises this must allow a grace period longer than the longest exchange, and then may kill: what a killed
worker held comes back when its lease ends.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import structlog
from celery.signals import worker_init, worker_ready, worker_shutting_down

from gaugepost.connection import connect, redis_url
from gaugepost.errors import StoreError
from gaugepost.ledger import Ledger
from gaugepost_tasks.handlers import check_handlers
from gaugepost_tasks.http import HttpClient
from gaugepost_workers.app import OPEN_SLOT, PROMOTE, RESCUE, SWEEP, make_app
from gaugepost_workers.courier import Courier
from gaugepost_workers.events import TaskEvents
from gaugepost_workers.executor import URGENT_THREADS, Executor
from gaugepost_workers.guard import answer_questions_only
from gaugepost_workers.rescue import rescue

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.regions import Region
    from gaugepost.settings import Settings

log = structlog.get_logger("gaugepost.worker")

_CELERY_THREADS = 4  # one turns the executor's wheel, the others take bells and ticks meanwhile
_RESTART_PAUSE_S = 1.0


class Worker:
    """The parts of one worker process, and what its Celery tasks call."""

    def __init__(self, settings: Settings, region: Region, concurrency: int) -> None:
        check_handlers()
        self.settings = settings
        self.region = region
        self.name = f"{region}-{os.getpid()}@{socket.gethostname()}"
        self.ledger = Ledger(connect(settings, region), region, settings)
        self.app = make_app(region, redis_url(settings, region), self)
        http = HttpClient(
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            pool_size=concurrency + URGENT_THREADS,
        )
        self._ticks: dict[str, Callable[[], object]] = {
            PROMOTE: self.ledger.promote,
            RESCUE: lambda: rescue(self.ledger, settings.backoff),
            OPEN_SLOT: self.ledger.open_slot,
            SWEEP: self.ledger.sweep,
        }
        self.courier = Courier(self.ledger, http, settings)
        self._events = TaskEvents(self.app, self.name)
        self.executor = Executor(
            self.ledger,
            self.courier.deliver,
            self._events,
            worker=f"{self.name}-{uuid.uuid4().hex[:8]}",
            concurrency=concurrency,
            lease_s=settings.lease,
        )

    def deliver(self) -> None:
        """Answer a bell."""
        self.executor.run()

    def tick(self, name: str) -> None:
        """Do the work of one tick, as the ledger's gates allow."""
        self._ticks[name]()

    def run(self) -> int:
        """Work until stopped by a signal; return the exit code."""
        worker_init.connect(self._begin, weak=False)
        worker_ready.connect(_quit_warmly, weak=False)
        worker_shutting_down.connect(self._end, weak=False)
        answer_questions_only()
        argv = [
            "--quiet",
            "worker",
            "--hostname",
            self.name,
            "--concurrency",
            str(_CELERY_THREADS),
            "--loglevel",
            "WARNING",
        ]
        argv += ["--without-gossip", "--without-mingle", "--events"]
        try:
            self.app.worker_main(argv)
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 1
        return 0

    def _begin(self, **_: Any) -> None:  # noqa: ANN401 - a Celery signal
        """Let go what waits for credentials that this worker has, and look for work that nobody rang for."""
        try:
            for needs in ("oauth", "api_key"):
                if self.courier.has(needs):
                    self.ledger.resume(f"credentials:{needs}")
            self.ledger.promote()
        except StoreError as error:
            log.warning("Redis is away; waiting for it", error=str(error))
        log.info("worker starts", region=str(self.region), name=self.name)

    def _end(self, **_: Any) -> None:  # noqa: ANN401 - a Celery signal
        self.executor.stop()


def _quit_warmly(**_: Any) -> None:  # noqa: ANN401 - a Celery signal
    """Let SIGQUIT do what SIGTERM does: celery's cold shutdown fails half-way on threads, and stops nothing."""
    signal.signal(signal.SIGQUIT, signal.getsignal(signal.SIGTERM))


def run_processes(arguments: list[str], processes: int) -> int:
    """Run several worker processes, start anew those that die, pass signals on; return the exit code."""
    return Supervisor([[sys.executable, "-m", "gaugepost_workers", *arguments] for _ in range(processes)]).run()


class Supervisor:
    """Runs commands side by side until it is told to stop."""

    def __init__(self, commands: list[list[str]]) -> None:
        self._commands = commands
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._stopping = False

    def run(self) -> int:
        """Start all of them, keep them running, and on SIGTERM or SIGINT end them warmly."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for slot in range(len(self._commands)):
            self._start(slot)
        while self._children:
            self._look_after()
            time.sleep(0.1)
        return 0

    def _start(self, slot: int) -> None:
        # A group of its own: Ctrl-C reaches this process alone, which then ends the others warmly, once.
        self._children[slot] = subprocess.Popen(self._commands[slot], start_new_session=True)  # noqa: S603

    def _look_after(self) -> None:
        for slot, child in list(self._children.items()):
            if child.poll() is None:
                continue
            del self._children[slot]
            if self._stopping:
                continue
            log.warning("process ended; starting it anew", command=self._commands[slot][2:], code=child.returncode)
            time.sleep(_RESTART_PAUSE_S)
            self._start(slot)

    def _stop(self, *_: object) -> None:
        self._stopping = True
        for child in self._children.values():
            child.send_signal(signal.SIGTERM)
