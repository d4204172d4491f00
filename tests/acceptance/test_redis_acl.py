"""Run every process as its Redis user of docs/redis-acl.md: it does all of its work, and Redis refuses no command."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import requests

from gaugepost import (
    AsyncProducer,
    CloseLoop,
    File,
    FileDelete,
    JobDead,
    JobState,
    PersonalLink,
    Record,
    Region,
    Response,
    Settings,
)
from gaugepost.client import Producer
from gaugepost.keys import Keys
from gaugepost.ledger.rights import Part
from support.acl import PROGRAMS, GuardedRedis
from support.redis_server import free_port
from support.stack import Stack
from support.wait import wait_until

URL = "GAUGEPOST_REDIS_URL"
LOGIN = "operator:correct-horse-7"
CSV = "Email,Date\na@example.net,2026-01-01 00:00:00\n"


class Deployment:
    """A stack in which each process logs in to Redis as its own user."""

    def __init__(self, stack: Stack, server: GuardedRedis) -> None:
        self.stack = stack
        self.server = server
        self.flower_port, self.exporter_port, self.gateway_port = free_port(), free_port(), free_port()

    @contextmanager
    def being(self, part: str) -> Iterator[Stack]:
        """Start processes and run commands with the URL of this part's user."""
        before, self.stack.variables[URL] = self.stack.variables[URL], self.server.url_of(part)
        try:
            yield self.stack
        finally:
            self.stack.variables[URL] = before

    def start(self) -> None:
        with self.being("worker") as stack:
            for region in Region:
                stack.worker(region)
        with self.being("beat") as stack:
            stack.beat()
        with self.being("exporter") as stack:
            stack.run("-m", "gaugepost_ops", "exporter", "--port", str(self.exporter_port))
        with self.being("flower") as stack:
            stack.run("-m", "gaugepost_ops", "flower", "--port", str(self.flower_port))
        with self.being("gateway") as stack:
            stack.run("-m", "gaugepost_ops", "serve", "--port", str(self.gateway_port))

    def service(self) -> Producer:
        return Producer(self.settings("service"))

    def settings(self, part: str) -> Settings:
        url = Settings.given(redis_url=self.server.url_of(part)).redis_url
        return self.stack.settings.model_copy(update={"redis_url": url})

    def operate(self, *arguments: str, code: int = 0) -> str:
        with self.being("operator") as stack:
            done = stack.cli(*arguments)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture(params=PROGRAMS, ids=lambda path: Path(path).name)
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    server = GuardedRedis(tmp_path, program=request.param)
    with Stack(tmp_path, redis=server, connect_timeout=2, read_timeout=6, lease=9, flower_basic_auth=LOGIN) as stack:
        yield Deployment(stack, server)


def get(port: int, path: str) -> str:
    try:
        basic = {"Authorization": f"Basic {base64.b64encode(LOGIN.encode()).decode()}"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=basic)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def flower_knows_workers(port: int) -> bool:
    """Return whether Flower shows three workers, each with its statistics."""
    workers = json.loads(get(port, "/api/workers?refresh=1") or "{}")
    return len(workers) == 3 and all("stats" in stats and "active_queues" in stats for stats in workers.values())


def record(email: str, region: Region = Region.EU) -> Record:
    return Record(region=region, configuration="multi-object", record={"Email": email})


def link(email: str) -> PersonalLink:
    return PersonalLink(region=Region.US, configuration="multi-object", record={"Email": email})


def deliver_one_of_each_kind(producer: Producer) -> None:
    jobs = [
        producer.enqueue(record("a@example.net"), idempotency_key="ticket-1"),
        producer.enqueue(record("a@example.net"), idempotency_key="ticket-1"),
        producer.enqueue(link("b@example.net")),
        producer.enqueue(CloseLoop(region=Region.EU, number_customergauge="53499", status="open", note="n")),
        producer.enqueue(Response(region=Region.AU, fields={"Email": "lee@example.net"}, net_promoter_score=9)),
    ]
    for job in jobs:
        job.result(timeout=60)
    content = base64.b64encode(CSV.encode()).decode()
    file = producer.enqueue(File(region=Region.AU, family="contact", filename="march.csv", content_base64=content))
    upload_id = file.result(timeout=60).upload_id
    assert upload_id is not None
    producer.enqueue(FileDelete(region=Region.AU, upload_id=upload_id)).result(timeout=60)
    with pytest.raises(JobDead):
        producer.enqueue(link("duplicate@example.com")).result(timeout=60)
    producer.enqueue_many(record(f"many{i}@example.net", Region.US) for i in range(300))
    producer.forecast(Region.EU, 3)


async def enqueue_and_wait(settings: Settings) -> None:
    async with AsyncProducer(settings) as producer:
        receipt = await producer.enqueue(record("async@example.net"))
        await receipt.result(timeout=60)


def test_each_part_works_as_its_documented_user(deployment: Deployment) -> None:
    deployment.start()
    with deployment.service() as producer:
        deliver_one_of_each_kind(producer)
        asyncio.run(enqueue_and_wait(deployment.settings("service")))
        upload_and_undo(deployment)
        operate_on_jobs(deployment, producer)
    call_the_gateway(deployment)
    wait_until(lambda: "gaugepost_redis_up" in get(deployment.exporter_port, "/metrics"), what="the exporter answers")
    assert 'gaugepost_redis_up{region="eu"} 1.0' in get(deployment.exporter_port, "/metrics")
    wait_until(lambda: flower_knows_workers(deployment.flower_port), what="Flower has asked three workers")
    assert "gaugepost.eu.urgent" in get(deployment.flower_port, "/broker")
    with deployment.being("worker") as stack:
        assert stack.cli("health", "worker", "--region", "eu").returncode == 0
    for part in Part:
        with deployment.being(part) as stack:
            done = stack.cli("check", "--part", part)
            assert (done.returncode, "FAILED" in done.stdout) == (0, False), (part, done.stdout, done.stderr)
    with deployment.being("beat") as stack:
        assert stack.cli("health", "beat").returncode == 0
    assert [process.poll() for process in deployment.stack.processes] == [None] * 7
    assert deployment.server.refusals() == []


def call_the_gateway(deployment: Deployment) -> None:
    """Make a key as an operator, then enqueue a record and two files over HTTP, and call the rest with it."""
    url = f"http://127.0.0.1:{deployment.gateway_port}/v1"
    scopes = ["--scope", "enqueue", "--scope", "read", "--scope", "operate", "--rate", "999"]
    key = json.loads(deployment.operate("keys", "create", "crm", *scopes, "--json"))["key"]
    wait_until(lambda: "ready" in get(deployment.gateway_port, "/readyz"), what="the gateway is ready")
    content = base64.b64encode(CSV.encode()).decode()
    files = [{"kind": "file", "family": "contact", "filename": f"{n}.csv", "content_base64": content} for n in "ab"]
    record = {"kind": "record", "configuration": "multi-object", "record": {"Email": "http@example.net"}}
    with requests.Session() as http:
        http.headers["Authorization"] = f"Bearer {key}"
        wait_until(lambda: http.get(f"{url}/holds?region=us").status_code == 200, what="the key is known")
        jobs = [{"region": "us"} | job for job in (record, *files)]
        assert [http.post(f"{url}/jobs", json=job).status_code for job in jobs] == [201] * 3
        operate_over_http(http, url, http.post(f"{url}/jobs", json=jobs[:1]).json()[0]["id"])
    deployment.operate("keys", "list")
    deployment.operate("keys", "revoke", "crm")
    endpoint = json.loads(deployment.operate("webhooks", "add", "https://crm.example/", "--region", "us", "--json"))[
        "id"
    ]
    for command in ("list", "failures"):
        deployment.operate("webhooks", command)
    for command in ("rotate", "retry", "remove"):
        deployment.operate("webhooks", command, endpoint)


def operate_over_http(http: requests.Session, url: str, job_id: str) -> None:
    """Wait for a job, then make each other call."""
    assert http.get(f"{url}/jobs/{job_id}?wait=60").json()["state"] == "delivered"
    assert http.post(f"{url}/jobs/{job_id}/cancel").status_code == 409
    assert http.post(f"{url}/holds", json={"region": "us", "reason": "a look"}).status_code == 201
    assert http.post(f"{url}/jobs/{job_id}/replay").status_code == 409
    assert http.post(f"{url}/jobs/{job_id}/settle", json={"as": "dead"}).status_code == 409
    assert http.get(f"{url}/batches/absent").status_code == 404
    looks = ["jobs", "jobs?state=dead", "jobs?label=x", "status", "uploads", "holds", "batches", "operations", "audit"]
    assert {http.get(f"{url}/{look}").status_code for look in looks} == {200}
    assert http.delete(f"{url}/holds/us").status_code == 204
    wanted = {"action": "cancel", "region": "us", "filter": {"state": "queued"}}
    assert http.post(f"{url}/operations", json=wanted | {"dry_run": True}).status_code == 200
    operation = http.post(f"{url}/operations", json=wanted).json()["id"]
    assert http.post(f"{url}/operations/{operation}/abort").status_code in {200, 409}
    form = {"region": "us", "family": "contact"}
    made = http.post(f"{url}/files", data=form, files={"file": ("may.csv", CSV.replace("@", "@may."))}).json()
    assert http.get(f"{url}/files/{made['id']}").status_code == 200
    assert http.get(f"{url}/files/{made['id']}/rejects").status_code == 404
    assert http.post(f"{url}/files/{made['id']}/undo").status_code in {200, 409}
    assert http.post(f"{url}/files/{made['id']}/cancel").status_code in {200, 409}
    front = url.removesuffix("v1") + "customergauge/us"
    form = {"grant_type": "client_credentials", "client_id": "crm", "client_secret": http.headers["Authorization"][7:]}
    token = http.post(f"{front}/oauth2/token", data=form).json()["access_token"]
    link = {"configuration": "multi-object", "record": {"Email": "front@example.net"}}
    headers = {"Authorization": f"Bearer {token}"}
    assert http.put(f"{front}/personal-link/", json=link, headers=headers).status_code == 200
    added = http.post(f"{url}/webhooks", json={"url": "https://crm.example/", "regions": ["us"]}).json()["id"]
    assert http.get(f"{url}/webhooks").json()["webhooks"][0]["id"] == added
    assert http.delete(f"{url}/webhooks/{added}").status_code == 204


def upload_and_undo(deployment: Deployment) -> None:
    """Upload a file as a service, then track and undo it as an operator."""
    path = deployment.stack.folder / "april.csv"
    path.write_text(CSV)
    with deployment.being("service") as stack:
        done = stack.cli("upload", str(path), "--region", "eu", "--family", "contact", "--json")
    assert done.returncode == 0, done.stderr
    part = json.loads(done.stdout.splitlines()[0])
    wait_until(lambda: json.loads(deployment.operate("job", part["id"], "--json"))["state"] == "delivered")
    deployment.operate("job", part["set"])
    deployment.operate("uploads", "undo", part["set"], "--yes")


def operate_on_jobs(deployment: Deployment, producer: Producer) -> None:
    """Run the commands of an operator on jobs that are dead, held and unknown."""
    operate = deployment.operate
    operate("hold", "eu", "--reason", "a look")
    waiting = [producer.enqueue(record(f"held{i}@example.net")) for i in range(3)]
    assert "a look" in operate("holds") + operate("job", waiting[0].id) + operate("status")
    operate("cancel", waiting[0].id)
    assert waiting[1].cancel()
    operate("resume", "eu")
    waiting[2].result(timeout=60)
    deployment.stack.sim.fault("status", code=500, commit=True, endpoint="response", times=1)
    lost = producer.enqueue(Response(region=Region.EU, fields={"Email": "x@example.net"}, net_promoter_score=1))
    wait_until(lambda: lost.state() is JobState.UNKNOWN, what="its answer is lost")
    operate("settle", lost.id, "--as", "delivered")
    operate("replay", "--state", "dead", "--region", "us", "--verdict", "duplicate")
    operate("job", lost.id, "--show-data")
    recorded = [json.loads(line)["action"] for line in operate("audit", "--json").splitlines()]
    assert recorded == ["job", "replay", "settle", "resume", "cancel", "hold", "uploads undo", "upload"]
    for look in (("jobs",), ("jobs", "--group"), ("uploads",), ("check",), ("health", "region")):
        operate(*look)
    given = deployment.stack.folder / "job.jsonl"
    given.write_text(record("cli@example.net").model_dump_json(exclude_none=True) + "\n")
    operate("enqueue", str(given), "--wait")


@pytest.mark.parametrize("part", ["service", "beat", "flower"])
def test_user_of_another_part_cannot_do_a_workers_work(deployment: Deployment, part: str) -> None:
    with deployment.server.as_user(part) as client:
        token = Keys(Region.EU)["token"]
        for forbidden in (["HGETALL", token], ["EVAL", "return redis.call('HGETALL', KEYS[1])", 1, token]):
            with pytest.raises(redis.ResponseError):
                client.execute_command(*forbidden)
    with deployment.being(part) as stack:
        worker = stack.worker("eu")
        assert worker.wait(60) == 4
