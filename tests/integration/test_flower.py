"""Flower shows jobs, not bells, and nothing that is personal: by its own API."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from pathlib import Path
from typing import Any

from gaugepost import JobState, PersonalLink, Record, Region
from support.redis_server import free_port
from support.stack import Stack
from support.wait import wait_until


def flower_says(port: int, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


def test_flower_lists_each_job_by_kind_and_id_with_its_true_state_and_no_personal_data(tmp_path: Path) -> None:
    os.environ["FLOWER_UNAUTHENTICATED_API"] = "true"  # Flower's own switch: its API is closed without it
    port = free_port()
    try:
        with Stack(tmp_path) as stack:
            flower = stack.run("-m", "gaugepost_workers", "flower", "--port", str(port))
            wait_until(lambda: flower_says(port, "/api/tasks") is not None, what="flower answers")
            worker = stack.worker()
            stack.beat()
            wait_until(lambda: flower_says(port, "/api/workers?refresh=1"), what="flower sees the worker")

            def enqueue(email: str) -> str:
                record = {"Email": email, "Name": "Jane Roe"}
                job = PersonalLink(region=Region.EU, configuration="multi-object", record=record)
                return stack.producer.enqueue(job).id

            delivered, parked, dead = map(
                enqueue, ("jane@example.net", "no-campaign@example.com", "duplicate@example.com")
            )
            record = stack.producer.enqueue(
                Record(region=Region.EU, configuration="contact", record={"Email": "x@example.net"})
            )
            record.result(timeout=20)
            wait_until(lambda: stack.producer.state(parked) is JobState.PARKED)
            states = {delivered: "SUCCESS", parked: "RETRY", dead: "FAILURE", record.id: "SUCCESS"}
            wait_until(lambda: {i: task["state"] for i, task in flower_says(port, "/api/tasks").items()} == states)
            tasks = flower_says(port, "/api/tasks")
            assert {task["name"] for task in tasks.values()} == {"gaugepost.personal_link", "gaugepost.record"}
            assert tasks[parked]["exception"].startswith("parked: no_campaign, again in ")
            assert tasks[dead]["exception"] == "dead: duplicate"
            shown = json.dumps([tasks, flower_says(port, "/api/workers?refresh=1")])
            for personal in ("example", "Jane", "eu-secret", "eu-key"):
                assert personal not in shown
            worker.send_signal(signal.SIGTERM)
            flower.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=15) == 0
    finally:
        del os.environ["FLOWER_UNAUTHENTICATED_API"]
