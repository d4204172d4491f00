"""Run here what the image, compose and the manifests run: health commands, and Redis with its password."""

from __future__ import annotations

import contextlib
import json
import os
import re
import runpy
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from support.deployment import ROOT, compose, deployments, dockerfile
from support.redis_server import free_port
from support.stack import Stack, kill
from support.wait import wait_until


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as stack:
        yield stack


SCRIPT = "/opt/gaugepost/bin/healthz.sh"


def probe(command: list[str], stack: Stack, port: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a check of a container here; `port`: of the part's metrics."""
    here = [part.replace(SCRIPT, str(ROOT / "ops/healthz.sh")) for part in command]
    more = {} if port is None else {"GAUGEPOST_METRICS_PORT": str(port)}
    return subprocess.run(here, env=stack.env | more, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("part", ["worker", "beat", "exporter"])
def test_container_check_passes_only_for_a_process_that_works(stack: Stack, part: str) -> None:
    services = compose(profiles=("monitoring",))["services"]
    command = services["worker-eu" if part == "worker" else part]["healthcheck"]["test"][1:]
    assert command == [SCRIPT, part]
    port = free_port()
    stack.variables["GAUGEPOST_METRICS_PORT"] = str(port)
    assert probe(command, stack).returncode != 0
    process = stack.run("-m", "gaugepost_ops", part, *(("--region", "eu") if part == "worker" else ()))
    wait_until(lambda: probe(command, stack).returncode == 0, what="it is well")
    process.send_signal(signal.SIGSTOP)
    assert probe(command, stack).returncode != 0


def test_image_check_reads_heartbeats_when_metrics_are_off(stack: Stack, tmp_path: Path) -> None:
    command = json.loads(dict(dockerfile())["HEALTHCHECK"].partition("CMD ")[2])
    assert command == [SCRIPT, "worker"]
    stack.variables["GAUGEPOST_RUN_DIR"] = str(tmp_path / "run")
    assert probe(command, stack).returncode != 0
    stack.worker()
    wait_until(lambda: probe(command, stack).returncode == 0, what="it is well")
    kill(stack.processes[0])
    [heartbeat] = (tmp_path / "run").iterdir()
    os.utime(heartbeat, (time.time() - 61, time.time() - 61))
    assert probe(command, stack).returncode != 0


def test_probes_of_the_manifests_ask_the_parts_themselves() -> None:
    for name, pod in deployments().items():
        [box] = pod["containers"]
        asked = [box[one]["httpGet"] for one in box if one.endswith("Probe") and "httpGet" in box[one]]
        if name != "gaugepost-flower":
            assert asked, name
        if name == "gaugepost-gateway":
            assert asked == [{"path": path, "port": "http"} for path in ("/healthz", "/readyz")]
            continue
        assert all(one == {"path": "/healthz", "port": "metrics"} for one in asked), name
        assert not any("exec" in box[one] for one in box if one.endswith("Probe")), name


def test_check_of_flower_asks_whether_it_listens(stack: Stack) -> None:
    container = compose()["services"]["flower"]
    free = free_port()
    check = [part.replace("5555", str(free)) for part in container["healthcheck"]["test"][1:]]
    assert probe(check, stack).returncode != 0
    stack.run("-m", "gaugepost_ops", *here(container, {"5555": str(free)}))
    wait_until(lambda: probe(check, stack).returncode == 0)


def here(container: dict[str, Any], other: dict[str, str]) -> list[str]:
    """Return a service's command with the paths of this machine in place of those that are mounted."""
    mounted = {one["target"]: one["source"] for one in container.get("volumes", [])}
    instead = mounted | {"0.0.0.0": "127.0.0.1"} | other
    return [instead.get(part, part) for part in container["command"]]


@pytest.mark.parametrize("added", ["", "tasks_columns = 'uuid,state'\n"], ids=["as it is", "changed"])
def test_flower_shows_itself_as_the_file_says_that_compose_mounts(stack: Stack, tmp_path: Path, added: str) -> None:
    container = compose()["services"]["flower"]
    [mount] = container["volumes"]
    assert mount["source"] == str(ROOT / "ops/flowerconfig.py")
    conf = Path(mount["source"])
    if added:
        conf = tmp_path / "changed.py"
        conf.write_text(Path(mount["source"]).read_text(encoding="utf-8") + added)
    free = str(free_port())
    stack.run("-m", "gaugepost_ops", *here(container, {"5555": free, mount["target"]: str(conf)}))

    page = wait_until(lambda: answers(f"http://127.0.0.1:{free}/tasks"))
    said = runpy.run_path(str(conf))["tasks_columns"].split(",")
    assert re.findall(r'<th data-column="(\w+)"', page) == said
    assert (said == ["uuid", "state"]) == bool(added)


RECORDED = """
import sys
from gaugepost.settings import Settings
plain = Settings.__getattribute__
def recording(self, name):
    frame = sys._getframe(1)
    checking = any(one.f_code.co_name.startswith("_check_") for one in (frame, frame.f_back))
    if name in Settings.model_fields and not checking:
        print(name, file=open("read", "a"))
    return plain(self, name)
Settings.__getattribute__ = recording
from gaugepost_ops.cli import main
main()
"""

WRITING = {f"GAUGEPOST_{name}" for name in ("DATA_KEY", "LEASE", "MAPPINGS", "WAIT_REPLICAS")} | {
    f"GAUGEPOST_RETENTION_{name}" for name in ("AUDIT", "CONTENT", "DEAD", "DELIVERED")
}
"""What a ledger takes for jobs that it writes or hands out: the exporter only counts them."""


@pytest.mark.parametrize("service", ["beat", "exporter", "flower", "gateway"])
def test_compose_gives_a_part_each_setting_that_it_reads(stack: Stack, service: str) -> None:
    container = compose(profiles=("monitoring", "gateway"))["services"][service]
    given = {*container["environment"], *re.findall(r"(\w+)=", dict(dockerfile())["ENV"])}
    stack.variables["GAUGEPOST_METRICS_PORT"] = str(free_port())
    free = free_port()
    stack.run("-c", RECORDED, *here(container, dict.fromkeys(("5555", "8080", "9464"), str(free))))
    if service == "beat":
        wait_until(lambda: stack.cli("health", "beat").returncode == 0)
    else:
        path = {"exporter": "/metrics", "flower": "/", "gateway": "/readyz"}[service]
        wait_until(lambda: answers(f"http://127.0.0.1:{free}{path}"))
    read = {f"GAUGEPOST_{name.upper()}" for name in (stack.folder / "read").read_text().split()}
    assert "GAUGEPOST_REGIONS" in read
    missing = sorted(name for name in read - WRITING if not {name, f"{name}_FILE"} & given)
    assert missing == [], ", ".join(missing)


def answers(url: str) -> str:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=20) as page:
        return str(page.read().decode())
    return ""


@pytest.fixture
def url_file(tmp_path: Path) -> Path:
    path = tmp_path / "redis_url"
    path.write_text("redis://:a-password-of-24-letters@redis:6379/0\n")
    return path


@pytest.mark.needs("redis-server", "redis-cli")
def test_redis_takes_its_password_from_the_shared_url_and_hides_it(tmp_path: Path, url_file: Path) -> None:
    container = compose()["services"]["redis"]
    port = free_port()
    where = {"/etc/redis": str(ROOT / "ops/redis"), "/run/secrets/redis_url": str(url_file)}

    def here(argv: list[str]) -> list[str]:
        for there, place in where.items():
            argv = [part.replace(there, place) for part in argv]
        return argv

    ping = [*here(container["healthcheck"]["test"][1:]), "-p", str(port)]
    assert subprocess.run(ping, capture_output=True, check=False).returncode != 0
    start = [*here(container["entrypoint"]), "--port", str(port), "--dir", str(tmp_path)]
    server = subprocess.Popen(start, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: subprocess.run(ping, capture_output=True, check=False).returncode == 0)
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        with redis.Redis(port=port, password="a-password-of-24-letters") as client:
            found: dict[str, Any] = client.config_get("maxmemory", "maxmemory-policy", "appendonly")
        assert found == {"maxmemory": "1468006400", "maxmemory-policy": "noeviction", "appendonly": "yes"}
        assert b"a-password" not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
        server.terminate()
        assert server.wait(timeout=60) == 0, "the signal reaches redis-server itself"
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("url", ["redis://redis:6379/0", "redis://:@redis/0", "redis://:two words@redis/0", ""])
def test_redis_does_not_start_without_a_password(tmp_path: Path, url: str) -> None:
    (tmp_path / "url").write_text(url)
    start = ["sh", str(ROOT / "ops/redis/start.sh"), str(ROOT / "ops/redis/redis.conf"), str(tmp_path / "url")]
    done = subprocess.run(start, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[:9]) == (1, "start.sh:")


@pytest.mark.needs("make")
def test_make_writes_the_secrets_that_the_files_need(tmp_path: Path) -> None:
    made = subprocess.run(
        ["make", "--file", ROOT / "Makefile", "secrets"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    wanted = compose(profiles=("monitoring",))["secrets"]
    folder = tmp_path / "secrets"
    assert {Path(one["file"]).name for one in wanted.values()} == {path.name for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert before["redis_url"].startswith("redis://:")
    assert len({text.strip()[-24:] for text in before.values()}) == 3
    again = subprocess.run(["make", "--file", ROOT / "Makefile", "secrets"], cwd=tmp_path, check=False)
    assert again.returncode == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == before, "a second call changes none"
