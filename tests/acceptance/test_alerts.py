"""Cause the fault of each alert on purpose, follow its runbook, and check that the alert stops.

Real workers, beat, exporter, simulator, Redis, and Debian's Prometheus with the project's own alerts, whose waits are
shortened to seconds (`support/prometheus.py`). At the end each query of the dashboard must have found something.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from gaugepost import CloseLoop, Region
from support.prometheus import ALERTS, Prometheus
from support.redis_server import free_port
from support.stack import Stack, kill
from support.wait import wait_until
from support.watch import Watch
from support.webhook_receiver import Receiver

pytestmark = pytest.mark.needs("prometheus")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    folder = tmp_path_factory.mktemp("alerts")
    ports = [free_port() for _ in range(5)]
    (folder / "mappings.toml").touch()
    quick = {"connect_timeout": 1, "read_timeout": 2, "lease": 4, "regions": "eu", "backlog_limit": 100}
    quick |= {"mappings": folder / "mappings.toml", "webhook_networks": "127.0.0.0/8"}
    with (
        Stack(folder, **quick) as stack,
        Prometheus(folder / "prometheus", [*ports[:3], ports[4]]) as prometheus,
    ):
        watch = Watch(stack, prometheus, ports)
        watch.record()
        wait_until(lambda: len(prometheus.query("up == 1")) == 4, what="all parts are scraped")
        watch.recovers()
        yield watch


def test_failing_server_holds_its_region_until_it_recovers(watch: Watch) -> None:
    watch.stack.sim.fault("status", code=500, endpoint="records")
    ids = [watch.record() for _ in range(6)]
    watch.fires("GaugepostRegionHeld")
    ids.append(watch.record())  # stays queued under the hold, whatever happened to the jobs that opened it
    watch.looks("GaugepostRegionHeld", ID=ids[0])
    watch.stack.sim.clear_faults()
    watch.recovers(within=100)  # the first probe goes out after 15 seconds, the second after a minute
    # The job that the first probe sent tries again after a minute: not into the faults of the next tests.
    wait_until(lambda: watch.states(ids) == {"delivered"}, 100, "all are delivered")


def test_credentials_that_are_refused(watch: Watch) -> None:
    watch.stack.sim.knobs(credentials={"eu": {"client_secret": "rotated"}})
    watch.stack.sim.revoke("eu")
    job = watch.record()
    watch.fires("GaugepostTokenFailing")
    watch.looks("GaugepostTokenFailing")
    watch.stack.sim.knobs(credentials={"eu": None})
    watch.stack.sim.knobs(credentials=None)
    watch.cli("resume", "eu", "--credentials", "oauth")
    wait_until(lambda: watch.states([job]) == {"delivered"}, what="the job that waited is delivered")
    watch.recovers()


def test_a_mapping_that_is_missing(watch: Watch) -> None:
    watch.stack.sim.knobs(any_mapping=False)
    watch.record("crm-survey")
    watch.fires("GaugepostConfigurationHeld")
    watch.looks("GaugepostConfigurationHeld")
    watch.stack.sim.knobs(any_mapping=True)
    watch.cli("resume", "eu", "--configuration", "crm-survey")
    watch.recovers()


def test_a_hold_that_is_forgotten_and_a_backlog_that_grows_behind_it(watch: Watch) -> None:
    watch.cli("hold", "eu", "--reason", "maintenance")
    for _ in range(85):
        watch.record()
    watch.fires("GaugepostHoldForgotten", "GaugepostBacklogNearLimit")
    watch.looks("GaugepostHoldForgotten", "GaugepostBacklogNearLimit")
    watch.cli("resume", "eu")
    watch.recovers()


@pytest.mark.needs("curl")  # which the runbook calls
def test_a_worker_that_freezes(watch: Watch) -> None:
    with watch.frozen_worker():
        watch.record()
        watch.link()
        fire = ("GaugepostUrgentJobsLate", "GaugepostJobsLate", "GaugepostNoWorker")
        watch.fires(*fire, "GaugepostNoTicks", "GaugepostTargetDown")
        watch.looks(*fire, "GaugepostNoTicks")
        watch.looks("GaugepostTargetDown", HOST="127.0.0.1", PORT=str(watch.worker_port))
    watch.recovers()


def test_no_beat(watch: Watch) -> None:
    kill(watch.beat)
    watch.fires("GaugepostNoBeat", "GaugepostTargetDown")
    watch.looks("GaugepostNoBeat")
    own = "rate(gaugepost_own_ticks_total[5s]) > 0"
    wait_until(lambda: watch.prometheus.query(own), what="the worker runs the ticks")
    assert "GaugepostNoTicks" not in watch.prometheus.firing()
    watch.start_beat()
    watch.recovers()


def test_a_webhook_whose_receiver_is_gone(watch: Watch) -> None:
    with Receiver() as receiver:
        added = json.loads(watch.cli("webhooks", "add", receiver.url, "--event", "job.delivered", "--json"))
        receiver.secrets.append(added["secret"])
        receiver.status = 410
        watch.record()
        watch.fires("GaugepostWebhooksFailing")
        watch.looks("GaugepostWebhooksFailing")
        watch.cli("webhooks", "remove", added["id"])
    watch.recovers()


def test_upload_that_no_worker_claims(watch: Watch, tmp_path: Path) -> None:
    wait_until(lambda: watch.prometheus.query("gaugepost_next_slot_seconds == 0"), what="the slot is open")
    kill(watch.worker)
    contacts = tmp_path / "contacts.csv"
    contacts.write_text("Email\njoe@example.net\n")
    watch.cli("upload", str(contacts), "--region", "eu", "--family", "contact")
    watch.fires("GaugepostUploadLaneStuck")
    watch.looks("GaugepostUploadLaneStuck")
    watch.start_worker()
    watch.recovers()


def test_worker_killed_with_claimed_jobs(watch: Watch) -> None:
    first = watch.record()  # until one is delivered a worker sends but one of a configuration at a time
    wait_until(lambda: watch.states([first]) == {"delivered"}, what="the first is delivered")
    for endpoint in ("records", "response"):
        watch.stack.sim.fault("slow", endpoint=endpoint, seconds=1.5)
    *_, record, response = *(watch.record() for _ in range(15)), watch.response()
    wait_until(lambda: {record, response} <= watch.stack.keys().keys(), what="the last have had their effect")
    kill(watch.worker)
    watch.stack.sim.clear_faults()
    watch.start_worker()
    watch.fires("GaugepostRescues", "GaugepostLostAnswers")
    watch.looks("GaugepostLostAnswers", "GaugepostRescues", ID=record)
    watch.cli("settle", response, "--as", "delivered")
    watch.recovers()


def test_jobs_that_die_and_are_replayed(watch: Watch, tmp_path: Path) -> None:
    ids = [watch.link("duplicate@example.com") for _ in range(8)]
    watch.fires("GaugepostJobsDying")
    watch.looks("GaugepostJobsDying", ID=ids[0])
    (group,) = watch.cli("jobs", "--group", "--region", "eu", "--state", "dead", "--json").splitlines()
    (tmp_path / "address").write_text("jane@example.net")
    replay = [*shlex.split(json.loads(group)["command"])[1:], "--set", f"record.Email=@{tmp_path / 'address'}"]
    assert '"count": 8' in watch.cli(*replay, "--dry-run", "--json")
    watch.cli(*replay)
    wait_until(lambda: watch.states(ids) == {"delivered"}, what="all are delivered")
    assert all(watch.stack.keys()[job] == 1 for job in ids)
    watch.recovers()


def test_unrecognised_answer(watch: Watch) -> None:
    job_id = watch.record(Simulate="unrecognised 400 once")
    watch.fires("GaugepostUnrecognisedAnswers")
    watch.looks("GaugepostUnrecognisedAnswers", ID=job_id, VERDICT="unrecognised_400")
    watch.recovers()


def test_response_with_a_lost_answer(watch: Watch) -> None:
    watch.stack.sim.fault("cut_after_commit", endpoint="response", times=1)
    lost = watch.response()
    watch.fires("GaugepostUnknownJobs")
    watch.looks("GaugepostUnknownJobs", ID=lost)
    watch.cli("settle", lost, "--as", "delivered")
    watch.recovers()


def test_a_case_is_throttled_and_grows_back(watch: Watch) -> None:
    watch.stack.sim.fault("status", code=429, headers={"Retry-After": "1"}, times=1, endpoint="close_loop")
    for i in range(40):
        watch.stack.producer.enqueue(CloseLoop(region=Region.EU, number_customergauge=str(i), status="open"))
    wait_until(lambda: watch.prometheus.ever("gaugepost_concurrency_limit > 0"), what="the limit is seen")
    watch.recovers()


@pytest.mark.needs("redis-cli")  # which the runbook calls
def test_redis_that_fills_up(watch: Watch) -> None:
    with watch.stack.redis.client() as client:
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.08))
        watch.fires("GaugepostRedisMemory")
        watch.looks("GaugepostRedisMemory")
        wait_until(lambda: watch.prometheus.query("gaugepost_redis_memory_limit_bytes > 0"))
        client.config_set("maxmemory", 0)
    watch.recovers()


@contextlib.contextmanager
def sending(watch: Watch, key: str) -> Iterator[None]:
    """Send jobs over HTTP all the time."""
    ended = threading.Event()

    def send() -> None:
        headers = {"Authorization": f"Bearer {key}"}
        while not ended.is_set():
            requests.post(f"http://127.0.0.1:{watch.gateway_port}/v1/jobs", json={}, headers=headers, timeout=30)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(send)
        try:
            yield
        finally:
            ended.set()
        done.result()


@pytest.mark.needs("redis-cli", "curl")  # which the runbooks call
def test_redis_that_is_away(watch: Watch) -> None:
    key = watch.cli("keys", "create", "crm").strip()
    watch.stack.redis.kill()
    with sending(watch, key):
        watch.fires("GaugepostRedisUnreachable", "GaugepostGatewayErrors")
        watch.looks("GaugepostRedisUnreachable")
        watch.looks("GaugepostGatewayErrors", HOST="127.0.0.1", PORT=str(watch.gateway_port))
    wait_until(lambda: watch.prometheus.query("gaugepost_beat_failures_total > 0"), what="beat counts it")
    watch.stack.redis.start()
    watch.recovers()


def test_no_exporter(watch: Watch) -> None:
    watch.exporter.send_signal(signal.SIGTERM)
    assert watch.exporter.wait(timeout=60) == 0
    watch.fires("GaugepostExporterMissing", "GaugepostTargetDown")
    watch.looks("GaugepostExporterMissing")
    watch.start_exporter()
    watch.recovers()


@pytest.mark.needs("redis-cli", "curl")  # as the tests before it
def test_every_alert_fired_and_every_dashboard_query_returned_data(watch: Watch) -> None:
    named = {line.split(": ")[1] for line in ALERTS.read_text().splitlines() if "- alert: " in line}
    assert named == watch.seen == watch.followed
    watch.recovers()
    empty = [query for query in queries() if not watch.prometheus.ever(query)]
    assert not empty


def queries() -> list[str]:
    """The dashboard's, with Grafana's variables filled in."""
    board = json.loads((ROOT / "ops/grafana/gaugepost.json").read_text())
    targets = [target for panel in board["panels"] for target in panel.get("targets", ())]
    return [target["expr"].replace("$region", ".*").replace("$__rate_interval", "10s") for target in targets]
