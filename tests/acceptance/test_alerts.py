"""Every alert on a fault caused on purpose: it fires, what its runbook says is done, and it is quiet again.

Real workers, beat, exporter, simulator, Redis, and Debian's Prometheus with the project's own alerts, whose waits are
shortened to seconds (`support/prometheus.py`). At the end each query of the dashboard must have found something.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugepost import CloseLoop, PersonalLink, Record, Region, Response
from support.prometheus import ALERTS, WINDOW_S, Prometheus, needs_prometheus
from support.redis_server import free_port
from support.stack import Stack, kill
from support.wait import wait_until

pytestmark = needs_prometheus

ROOT = Path(__file__).parents[2]
CALM = {"Email": "joe@example.net"}


class Watch:
    """A gaugepost that is watched. Parts can be killed and started anew, each with its own port of metrics."""

    def __init__(self, stack: Stack, prometheus: Prometheus, ports: list[int]) -> None:
        self.stack = stack
        self.prometheus = prometheus
        self._ports = ports
        self.seen: set[str] = set()
        self.worker = self.beat = self.exporter = None
        self.start_worker()
        self.start_beat()
        self.start_exporter()

    def _run(self, port: int, *command: str) -> subprocess.Popen[bytes]:
        self.stack.variables["GAUGEPOST_METRICS_PORT"] = str(port)
        return self.stack.run("-m", "gaugepost_workers", *command)

    def start_worker(self) -> None:
        self.worker = self._run(self._ports[0], "worker", "--region", "eu")

    def start_second_worker(self) -> subprocess.Popen[bytes]:
        return self._run(self._ports[3], "worker", "--region", "eu")

    def start_beat(self) -> None:
        self.beat = self._run(self._ports[1], "beat")

    def start_exporter(self) -> None:
        self.exporter = self._run(self._ports[2], "exporter")

    def fires(self, *alerts: str, within: float = 45) -> None:
        def all_fire() -> bool:
            firing = self.prometheus.firing()
            for name in alerts:
                if name in firing and name not in self.seen:
                    told = json.dumps(firing[name]["annotations"])
                    assert "error expanding" not in told, told
                    self.seen.add(name)
            return set(alerts) <= set(firing)

        wait_until(all_fire, within, f"{alerts} fire")

    def recovers(self, within: float = WINDOW_S + 40) -> None:
        """Wait until nothing fires any more."""
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
        job = Record(region=Region.EU, configuration=configuration, record=CALM | more)
        return self.stack.producer.enqueue(job).id

    def link(self, email: str = "joe@example.net") -> str:
        job = PersonalLink(region=Region.EU, configuration="multi-object", record={"Email": email})
        return self.stack.producer.enqueue(job).id

    @contextlib.contextmanager
    def frozen_worker(self) -> Iterator[None]:
        os.killpg(self.worker.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.worker.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    folder = tmp_path_factory.mktemp("alerts")
    ports = [free_port() for _ in range(4)]
    quick = {"connect_timeout": 1, "read_timeout": 2, "lease": 4, "regions": "eu", "backlog_limit": 100}
    with (
        Stack(folder, **quick) as stack,
        Prometheus(folder / "prometheus", ports[:3]) as prometheus,
    ):
        watch = Watch(stack, prometheus, ports)
        watch.record()
        wait_until(lambda: len(prometheus.query("up == 1")) == 3, what="all parts are scraped")
        watch.recovers()
        yield watch


def test_a_server_that_fails_holds_its_region_and_goes_on_by_itself(watch: Watch) -> None:
    watch.stack.sim.fault("status", code=500, endpoint="records")
    for _ in range(6):
        watch.record()
    watch.fires("GaugepostRegionHeld")
    watch.stack.sim.clear_faults()
    watch.recovers(within=100)  # the first probe goes out after 15 seconds, the second after a minute


def test_credentials_that_are_refused(watch: Watch) -> None:
    watch.stack.sim.knobs(credentials={"eu": {"client_secret": "rotated"}})
    watch.stack.sim.revoke("eu")
    watch.record()
    watch.fires("GaugepostTokenFailing")
    watch.stack.sim.knobs(credentials={"eu": None})
    watch.stack.sim.knobs(credentials=None)
    watch.cli("resume", "eu")
    watch.recovers()


def test_a_mapping_that_is_missing(watch: Watch) -> None:
    watch.stack.sim.knobs(any_mapping=False)
    watch.record("crm-survey")
    watch.fires("GaugepostConfigurationHeld")
    watch.stack.sim.knobs(any_mapping=True)
    watch.cli("resume", "eu", "--configuration", "crm-survey")
    watch.recovers()


def test_a_hold_that_is_forgotten_and_a_backlog_that_grows_behind_it(watch: Watch) -> None:
    watch.cli("hold", "eu", "--reason", "maintenance")
    for _ in range(85):
        watch.record()
    watch.fires("GaugepostHoldForgotten", "GaugepostBacklogNearLimit")
    watch.cli("resume", "eu")
    watch.recovers()


def test_a_worker_that_freezes(watch: Watch) -> None:
    with watch.frozen_worker():
        watch.record()
        watch.link()
        watch.fires(
            "GaugepostUrgentJobsLate",
            "GaugepostJobsLate",
            "GaugepostNoTicks",
            "GaugepostNoWorker",
            "GaugepostTargetDown",
        )
    watch.recovers()


def test_no_beat(watch: Watch) -> None:
    kill(watch.beat)
    watch.fires("GaugepostNoTicks", "GaugepostTargetDown")
    watch.start_beat()
    watch.recovers()


def test_a_file_that_nobody_takes(watch: Watch, tmp_path: Path) -> None:
    wait_until(lambda: watch.prometheus.query("gaugepost_next_slot_seconds == 0"), what="the slot is open")
    kill(watch.worker)
    contacts = tmp_path / "contacts.csv"
    contacts.write_text("Email\njoe@example.net\n")
    watch.cli("upload", str(contacts), "--region", "eu", "--family", "contact")
    watch.fires("GaugepostUploadLaneStuck")
    watch.start_worker()
    watch.recovers()


def test_a_worker_killed_with_jobs_in_its_hands(watch: Watch) -> None:
    watch.stack.sim.fault("slow", endpoint="records", seconds=1.5)
    ids = [watch.record() for _ in range(16)]
    wait_until(lambda: watch.stack.counts()["sending"] == len(ids), what="all are out")
    kill(watch.worker)
    watch.stack.sim.clear_faults()
    watch.start_worker()
    watch.fires("GaugepostRescues", "GaugepostLostAnswers")
    watch.recovers()


def test_jobs_that_die_and_are_replayed(watch: Watch) -> None:
    for _ in range(8):
        watch.link("duplicate@example.com")
    watch.fires("GaugepostJobsDying")
    watch.cli("jobs", "--group")
    watch.recovers()


def test_an_answer_that_nobody_knows(watch: Watch) -> None:
    watch.record(Simulate="unrecognised 400 once")
    watch.fires("GaugepostUnrecognisedAnswers")
    watch.recovers()


def test_a_response_whose_answer_is_lost(watch: Watch) -> None:
    watch.stack.sim.fault("cut_after_commit", endpoint="response", times=1)
    job = Response(region=Region.EU, fields=CALM, net_promoter_score=9, survey_completed_date="2026-01-01 13:59:12")
    lost = watch.stack.producer.enqueue(job).id
    watch.fires("GaugepostUnknownJobs")
    watch.cli("settle", lost, "--as", "delivered")
    watch.recovers()


def test_a_case_is_throttled_and_grows_back(watch: Watch) -> None:
    watch.stack.sim.fault("status", code=429, headers={"Retry-After": "1"}, times=1, endpoint="close_loop")
    for i in range(40):
        watch.stack.producer.enqueue(CloseLoop(region=Region.EU, number_customergauge=str(i), status="open"))
    wait_until(lambda: watch.prometheus.ever("gaugepost_concurrency_limit > 0"), what="the limit is seen")
    watch.recovers()


def test_redis_that_fills_up(watch: Watch) -> None:
    with watch.stack.redis.client() as client:
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.08))
        watch.fires("GaugepostRedisMemory")
        wait_until(lambda: watch.prometheus.query("gaugepost_redis_memory_limit_bytes > 0"))
        client.config_set("maxmemory", 0)
    watch.recovers()


def test_redis_that_is_away(watch: Watch) -> None:
    watch.stack.redis.kill()
    watch.fires("GaugepostRedisUnreachable")
    wait_until(lambda: watch.prometheus.query("gaugepost_beat_failures_total > 0"), what="beat counts it")
    watch.stack.redis.start()
    watch.recovers()


def test_no_exporter(watch: Watch) -> None:
    watch.exporter.send_signal(signal.SIGTERM)
    assert watch.exporter.wait(timeout=20) == 0
    watch.fires("GaugepostExporterMissing", "GaugepostTargetDown")
    watch.start_exporter()
    watch.recovers()


def test_what_runbooks_tell_to_look_at_can_be_looked_at(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "mappings.toml").touch()
    watch.stack.variables["GAUGEPOST_MAPPINGS"] = str(tmp_path / "mappings.toml")
    job = watch.record()
    looks = {line for page in (ROOT / "ops/runbooks").glob("Gaugepost*.md") for line in commands(page.read_text())}
    assert len(looks) > 15
    for look in sorted(looks):
        done = watch.stack.cli(*shlex.split(look.replace("ID", job)))
        assert done.returncode in {0, 1}, (look, done.stderr)


def commands(page: str) -> list[str]:
    """A runbook's commands that look and end by themselves, without the program's name."""
    found = re.findall(r"^\$ gaugepost ([^#;\n]*)", page, re.MULTILINE)
    return [look.strip() for look in found if not look.startswith(("exporter", "status --watch"))]


def test_every_alert_was_seen_to_fire_and_every_query_of_the_dashboard_found_something(watch: Watch) -> None:
    named = {line.split(": ")[1] for line in ALERTS.read_text().splitlines() if "- alert: " in line}
    assert named == watch.seen
    watch.recovers()
    empty = [query for query in queries() if not watch.prometheus.ever(query)]
    assert not empty


def queries() -> list[str]:
    """The dashboard's, with Grafana's variables filled in."""
    board = json.loads((ROOT / "ops/grafana/gaugepost.json").read_text())
    targets = [target for panel in board["panels"] for target in panel.get("targets", ())]
    return [target["expr"].replace("$region", ".*").replace("$__rate_interval", "10s") for target in targets]
