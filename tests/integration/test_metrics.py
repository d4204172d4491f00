"""Metrics as Prometheus reads them: of real workers, a real beat, a real exporter."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from gaugepost import CloseLoop, PersonalLink, Record, Region
from gaugepost.ledger import Settlement
from gaugepost.states import JobState
from gaugepost.transitions import Dead, Decision, Parked
from gaugepost.verdict import Verdict
from gaugepost_workers.observers.metrics import WorkerMetrics
from support.ledger_harness import Bench
from support.metrics import text, value
from support.redis_server import free_port
from support.stack import Stack, kill
from support.wait import wait_until


def link(email: str) -> PersonalLink:
    return PersonalLink(region=Region.EU, configuration="multi-object", record={"Email": email, "Name": "Jane Roe"})


def test_metrics_show_outcomes_of_jobs_and_no_personal_data(tmp_path: Path) -> None:
    port, exporter_port = free_port(in_a_row=3), free_port()
    ports = (port, port + 1)
    with Stack(tmp_path, metrics_port=port) as stack:
        worker = stack.worker(processes=2)  # a port each
        stack.variables["GAUGEPOST_METRICS_PORT"] = str(port + 2)
        beat = stack.beat()
        exporter = stack.run("-m", "gaugepost_ops", "exporter", "--port", str(exporter_port))
        parked = end_in_every_way(stack)
        wait_until(lambda: value(exporter_port, "gaugepost_dead_jobs", verdict="duplicate") == 1)
        wait_until(lambda: stack.counts()["parked"] == 2)
        wait_until(lambda: all(map(text, ports)), what="both processes are there")
        check_workers(ports)
        wait_until(lambda: value(port + 2, "gaugepost_beat_ticks_total", region="au", tick="promote"))
        check_exporter(exporter_port)
        shown = "".join(map(text, (*ports, port + 2, exporter_port)))
        for personal in ("example", "Jane", "multi-object", "mine", parked, "eu-secret", "eu-key"):
            assert personal not in shown
        for process in (worker, beat, exporter):
            process.send_signal(signal.SIGTERM)
        assert {process.wait(timeout=60) for process in (worker, beat, exporter)} == {0}


def end_in_every_way(stack: Stack) -> str:
    """Deliver 20 links, refuse one, park one, hold a record and a configuration. Return the parked job's id."""
    producer = stack.producer
    jobs = [producer.enqueue(link(f"jane.{i}@example.net")) for i in range(20)]
    for job in jobs:
        job.result(timeout=60)
    producer.enqueue(link("duplicate@example.com"))
    parked = producer.enqueue(link("no-campaign@example.com")).id
    producer.enqueue(Record(region=Region.EU, configuration="unknown-mapping", record={"Email": "jane@example.net"}))
    wait_until(lambda: producer.state(parked) is JobState.PARKED)
    producer.ledger(Region.EU).hold("configuration:mine", "Jane Roe of jane@example.net asked for it", "jane")
    return parked


def check_workers(ports: tuple[int, ...]) -> None:
    """Check the sums over both processes. Each counts a little later than the ledger."""

    def total(name: str, **labels: str) -> float:
        return sum(value(port, name, region="eu", **labels) or 0 for port in ports)

    links = {"kind": "personal_link"}
    wait_until(lambda: total("gaugepost_jobs_total", state="delivered", verdict="delivered") == 20)
    wait_until(lambda: total("gaugepost_jobs_total", **links, state="dead", verdict="duplicate") == 1)
    wait_until(lambda: total("gaugepost_jobs_total", **links, state="parked", verdict="no_campaign") == 1)
    wait_until(lambda: total("gaugepost_attempts_total", kind="record", verdict="unknown_mapping") == 1)
    assert total("gaugepost_delivery_seconds_count", **links) == 20
    assert total("gaugepost_exchange_seconds_count", **links) == 22
    exchanging, delivering = (total(f"gaugepost_{name}_seconds_sum", **links) for name in ("exchange", "delivery"))
    assert exchanging < delivering, "a delivery waits, and then is an exchange"
    wait_until(lambda: total("gaugepost_ticks_total", tick="promote") > 0, what="ticks are done")


def check_exporter(port: int) -> None:
    assert value(port, "gaugepost_ledger_jobs", region="eu", state="delivered") == 20
    assert value(port, "gaugepost_ledger_jobs", region="us", state="delivered") == 0
    assert value(port, "gaugepost_parked_jobs", region="eu", reason="no_campaign") == 1
    assert value(port, "gaugepost_holds", region="eu", scope="configuration", about="unknown_mapping") == 1
    assert value(port, "gaugepost_holds", region="eu", scope="configuration", about="person") == 1
    assert value(port, "gaugepost_workers", region="eu") in {1, 2}  # an idle one claims nothing
    assert 3000 < (value(port, "gaugepost_token_left_seconds", region="eu") or 0) <= 3600
    assert 0 < (value(port, "gaugepost_token_age_seconds", region="eu") or 0) < 60
    assert value(port, "gaugepost_token_age_seconds", region="us") is None, "no job needed one"
    assert value(port, "gaugepost_redis_up", region="au") == 1


def test_worker_runs_with_its_metrics_port_taken_and_binds_it_later(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Stack(tmp_path, metrics_port=port) as stack:
            stack.worker()
            stack.producer.enqueue(link("jane@example.net")).result(timeout=60)
            assert "metrics wait for their port" in stack.logs()
            taken.close()
            wait_until(lambda: value(port, "gaugepost_jobs_total", state="delivered") == 1, what="its metrics")


def test_without_a_port_a_worker_has_no_metrics_and_listens_nowhere(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        worker = stack.worker()
        stack.producer.enqueue(link("jane@example.net")).result(timeout=60)
        listening = {
            line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"
        }
        sockets = set()
        for path in Path(f"/proc/{worker.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                sockets.add(str(path.readlink()))
        assert not {f"socket:[{inode}]" for inode in listening} & sockets


def test_exporter_reports_an_absent_or_frozen_redis_and_recovers(tmp_path: Path) -> None:
    port = free_port()
    with Stack(tmp_path, regions="eu") as stack:
        exporter = stack.run("-m", "gaugepost_ops", "exporter", "--port", str(port))
        wait_until(lambda: value(port, "gaugepost_redis_up", region="eu") == 1)
        with stack.redis.frozen():
            assert value(port, "gaugepost_redis_up", region="eu") == 0, "it reports the failure in time"
        wait_until(lambda: value(port, "gaugepost_redis_up", region="eu") == 1)
        stack.redis.kill()
        assert value(port, "gaugepost_redis_up", region="eu") == 0
        assert value(port, "gaugepost_ledger_jobs", region="eu") is None, "old figures are no figures"
        stack.redis.start()
        wait_until(lambda: value(port, "gaugepost_redis_up", region="eu") == 1)
        kill(exporter)


def test_statistics_have_ages_lateness_and_live_processes(redis_url: str) -> None:
    now = int(time.time() * 1000)

    def about(seconds: float) -> Any:
        return pytest.approx(seconds + time.time() - now / 1000, abs=2)  # statistics use the real clock

    with redis.Redis.from_url(redis_url) as client:
        bench = Bench(client)
        ledger = bench.ledger
        assert (ledger.statistics().oldest, ledger.statistics().promoted_ago) == ({}, float("inf"))
        bench.clock.set(now - 106_000)
        bench.put(link("a@example.net"), CloseLoop(region=Region.EU, number_customergauge="1", status="open"))
        bench.clock.set(now - 101_000)
        bench.put(CloseLoop(region=Region.EU, number_customergauge="1", status="closed"))
        found = ledger.statistics()
        assert found.oldest == {JobState.QUEUED: about(106), JobState.WAITING: about(101)}
        assert (found.urgent, found.workers, found.threads) == (about(106), 0, 0)
        bench.clock.set(now - 100_000)
        urgent, _ = bench.claim(concurrency=7)
        found = ledger.statistics()
        assert found.oldest == {JobState.SENDING: about(106), JobState.WAITING: about(101)}
        assert (found.urgent, found.workers, found.threads) == (None, 1, 7)
        assert found.leases_late == about(10)
        assert found.parked_late == 0
        bench.settle(urgent, Parked(20_000, "no_campaign"))
        found = ledger.statistics()
        assert found.oldest[JobState.PARKED] == about(106)
        assert found.parked_late == about(80)
        bench.clock.set(now - 30_000)
        ledger.promote()
        found = ledger.statistics()
        assert (found.promoted_ago, found.parked_late, found.urgent) == (about(30), 0, about(106))


def test_statistics_have_the_age_of_a_stored_token_only(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        bench = Bench(client)
        ledger, token = bench.ledger, bench.ledger.keys["token"]
        assert ledger.statistics().token_age is None
        began = time.time()
        bench.clock.set(int(began * 1000) - 100_000)
        ledger.token("w1", 36_000)
        ledger.put_token("w1", b"sealed", 3_600_000, 3_000_000)
        assert ledger.statistics().token_age == pytest.approx(100 + time.time() - began, abs=2)
        client.hincrby(token, "generation", 1)  # a version that notes no time has fetched the next one
        assert ledger.statistics().token_age is None
        client.hdel(token, "sealed", "expires", "refresh")
        ledger.token("w1", 36_000)
        ledger.put_token("w1", b"sealed", 3_600_000, 3_000_000)
        assert ledger.statistics().token_age == pytest.approx(100 + time.time() - began, abs=2)
        ledger.drop_token(3)
        assert ledger.statistics().token_age is None
        ledger.token("w1", 36_000)
        ledger.put_token("w1", b"sealed", 90_000, 80_000)
        assert ledger.statistics().token_age is None, "it has ended"


def test_whatever_becomes_of_a_job_is_counted_once(redis_url: str) -> None:
    metrics = WorkerMetrics(Region.EU)
    with redis.Redis.from_url(redis_url) as client:
        bench = Bench(client)
        bench.put(link("a@example.net"), link("b@example.net"))
        first, second = bench.claim()
        metrics.settled([Settlement(first, Decision(Dead(Verdict.BAD_FILE)))])
        metrics.rescued([Settlement(second, Decision(Parked(1, "lost_answer")))])

    def sample(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, {"region": "eu", **labels})

    labels = {"kind": "personal_link", "verdict": "none"}
    assert sample("gaugepost_jobs_total", state="dead", **labels) == 1
    assert sample("gaugepost_jobs_total", state="parked", **labels) == 1
    assert sample("gaugepost_rescued_jobs_total") == 1
