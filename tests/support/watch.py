"""Run gaugepost under Prometheus: cause faults, and read the alerts and what their runbooks show."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from gaugepost import PersonalLink, Record, Region, Response
from support.prometheus import WINDOW_S, Prometheus
from support.runbooks import looks
from support.stack import Stack
from support.wait import wait_until

CALM = {"Email": "joe@example.net"}


class Watch:
    """A monitored gaugepost. Each process has its own metrics port, and can be killed and restarted."""

    def __init__(self, stack: Stack, prometheus: Prometheus, ports: list[int]) -> None:
        self.stack = stack
        self.prometheus = prometheus
        self._ports = ports
        self.seen: set[str] = set()
        self.followed: set[str] = set()
        self.worker = self.beat = self.exporter = None
        self.start_worker()
        self.start_beat()
        self.start_exporter()
        self._run(self._ports[3], "serve", "--port", str(self.gateway_port))

    def _run(self, port: int, *command: str) -> subprocess.Popen[bytes]:
        self.stack.variables["GAUGEPOST_METRICS_PORT"] = str(port)
        return self.stack.run("-m", "gaugepost_ops", *command)

    @property
    def worker_port(self) -> int:
        return self._ports[0]

    @property
    def gateway_port(self) -> int:
        return self._ports[4]

    def start_worker(self) -> None:
        self.worker = self._run(self._ports[0], "worker", "--region", "eu")

    def start_beat(self) -> None:
        self.beat = self._run(self._ports[1], "beat")

    def start_exporter(self) -> None:
        self.exporter = self._run(self._ports[2], "exporter")

    def fires(self, *alerts: str, within: float = 60) -> None:
        def all_fire() -> bool:
            firing = self.prometheus.firing()
            for name in alerts:
                if name in firing and name not in self.seen:
                    text = json.dumps(firing[name]["annotations"])
                    assert "error expanding" not in text, text
                    self.seen.add(name)
            return set(alerts) <= set(firing)

        wait_until(all_fire, within, f"{alerts} fire")

    def looks(self, *alerts: str, **names: str) -> None:
        """Follow the runbooks of the firing alerts, with `names` filled in."""
        names |= {"9464": str(self._ports[3]), "10s": "3s", "1m": "3s"}  # short, as the waits of the alerts
        assert set(alerts) <= self.prometheus.firing().keys()
        for alert in alerts:
            for look in looks(alert):
                look.under(names).run(self.stack)
            self.followed.add(alert)

    def recovers(self, within: float = WINDOW_S + 40) -> None:
        """Wait until no alert fires."""
        firing: dict[str, object] = {}

        def quiet() -> bool:
            nonlocal firing
            firing = self.prometheus.firing()
            return not firing

        try:
            wait_until(quiet, within)
        except AssertionError:
            pytest.fail(f"still firing: {firing}")

    def cli(self, *arguments: str) -> str:
        done = self.stack.cli(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def record(self, configuration: str = "contact", **more: str) -> str:
        job = Record(region=Region.EU, configuration=configuration, record=CALM | more, source="crm")
        return self.stack.producer.enqueue(job).id

    def link(self, email: str = "joe@example.net") -> str:
        job = PersonalLink(region=Region.EU, configuration="multi-object", record={"Email": email}, source="shop")
        return self.stack.producer.enqueue(job).id

    def states(self, ids: list[str]) -> set[str]:
        return {str(self.stack.producer.state(one)) for one in ids}

    def response(self) -> str:
        fields = {"net_promoter_score": 9, "survey_completed_date": "2026-01-01 13:59:12"}
        return self.stack.producer.enqueue(Response(region=Region.EU, fields=CALM, source="crm", **fields)).id

    @contextlib.contextmanager
    def frozen_worker(self) -> Iterator[None]:
        os.killpg(self.worker.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.worker.pid, signal.SIGCONT)
