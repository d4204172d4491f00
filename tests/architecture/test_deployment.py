"""The image and docker-compose.yml say what this gaugepost understands, and run nothing as root.

There is no Docker engine here: docker compose itself reads its files, and our own command line reads each command. What
they start is tried in `tests/integration/test_deployed.py`.
"""

from __future__ import annotations

import fnmatch
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from gaugepost import Settings
from gaugepost.settings import PREFIX
from support.deployment import COMPOSE, ROOT, compose, dockerfile, graceful, parses, unknown

SIMULATED = ("docker-compose.yml", "ops/compose.simulator.yml")
FILES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "plain": ((), ()),
    "monitoring": ((), ("monitoring",)),
    "simulator": (SIMULATED, ("simulator",)),
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return compose(*SIMULATED, profiles=("monitoring", "simulator"))["services"] | compose()["services"]


def ours(services: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in services.items() if one["image"] == "gaugepost"}


# The image


def test_the_image_is_built_in_stages_from_a_base_of_one_version_and_runs_as_nobody_in_particular() -> None:
    steps = dockerfile()
    words = [word for word, _ in steps]
    assert words.count("FROM") == 2
    base = dict(steps)["ARG"].partition("=")[2]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base), "a tag that names one version"
    last = steps[len(words) - words[::-1].index("FROM") :]
    assert [rest for word, rest in last if word == "USER"] == ["10001"]
    assert [word for word, _ in last].index("USER") > [word for word, _ in last].index("COPY")
    assert dict(last)["STOPSIGNAL"] == "SIGTERM"


def test_what_the_image_is_made_of_is_there_reaches_the_builder_and_is_pinned_by_hash() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    sources = [
        source
        for word, rest in dockerfile()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert sources
    assert [one for one in sources if not (ROOT / one).exists()] == []
    assert [one for one in sources if one not in let_in] == []
    assert "*" in ignored
    installs = [rest for word, rest in dockerfile() if word == "RUN" and "pip install" in rest]
    assert ["--require-hashes" in one for one in installs] == [True, False]
    assert "--no-deps" in installs[1]


def test_no_secret_gets_into_a_layer() -> None:
    told = " ".join(rest for word, rest in dockerfile() if word in {"ENV", "ARG", "COPY", "RUN"})
    assert not re.search(r"(?i)secret|password|token|api_key|\.env\b", told)
    names = [name for word, rest in dockerfile() if word == "ENV" for name in re.findall(r"(\w+)=", rest)]
    assert unknown(names) == []
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert not any(
        fnmatch.fnmatch(name, pattern) for name in (".env", "secrets/redis_url", ".git") for pattern in let_in
    )


def test_the_image_starts_our_command_line_and_its_check_is_one_of_ours() -> None:
    steps = dict(dockerfile())
    assert json.loads(steps["ENTRYPOINT"]) == ["gaugepost"]
    check = json.loads(steps["HEALTHCHECK"].partition("CMD ")[2])
    assert check[0] == "gaugepost"
    assert parses(check[1:])


# docker-compose.yml


@pytest.mark.parametrize("which", FILES)
def test_docker_compose_reads_the_files(which: str) -> None:
    assert COMPOSE.exists(), "the client, without an engine, comes with requirements/dev.txt"
    files, profiles = FILES[which]
    found = compose(*files, profiles=profiles)["services"]
    assert {"redis", "worker-eu", "worker-us", "worker-au", "beat", "flower"} <= set(found)
    more = {"plain": set(), "monitoring": {"exporter", "prometheus", "grafana"}, "simulator": {"simulator"}}[which]
    assert more <= set(found)


def test_every_services_command_is_one_of_ours(services: dict[str, Any]) -> None:
    started = {name: one["command"] for name, one in ours(services).items() if name != "simulator"}
    assert len(started) == 6
    assert all(parses(command) for command in started.values())
    assert services["simulator"]["entrypoint"] == ["python", "-m", "gaugepost_simulator"]


@pytest.mark.parametrize("which", FILES)
def test_every_name_in_a_services_environment_is_a_setting_and_all_of_it_is_accepted(
    which: str, monkeypatch: pytest.MonkeyPatch, bare_environment: Path
) -> None:
    files, profiles = FILES[which]
    secrets = {"redis_url": "redis://:secret@redis:6379/0", "flower_basic_auth": "name:a-long-password-of-24"}
    for name, text in secrets.items():
        (bare_environment / name).write_text(text)
    for service in ours(compose(*files, profiles=profiles)["services"]).values():
        given = service.get("environment") or {}
        assert unknown(list(given)) == []
        with monkeypatch.context() as patched:
            for name, value in given.items():
                patched.setenv(name, value.replace("/run/secrets", str(bare_environment)))
            Settings.load()


def test_each_service_is_shut_in_restarted_and_checked(services: dict[str, Any]) -> None:
    for name, one in services.items():
        assert one["read_only"], name
        assert one["cap_drop"] == ["ALL"], name
        assert one["restart"] == "unless-stopped", name
        assert int(one["mem_limit"]) > 0, name
        assert one["healthcheck"]["test"], name
        assert ":latest" not in one["image"], name
        assert one["image"] == "gaugepost" or re.search(r":v?\d+\.\d+\.\d+", one["image"]), name
        for port in one.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", f"{name} shows itself to the network"
    for name, one in ours(services).items():
        test = one["healthcheck"]["test"]
        assert (test[:2] == ["CMD", "gaugepost"] and parses(test[2:])) or test[:3] == ["CMD", "python", "-c"], name


def test_workers_are_given_time_for_an_exchange_and_no_more_than_a_lease(services: dict[str, Any]) -> None:
    workers = [one for name, one in services.items() if name.startswith("worker-")]
    assert [one["stop_grace_period"] for one in workers] == ["1m0s"] * 3
    assert graceful(60)


def test_what_the_services_mount_is_there(services: dict[str, Any]) -> None:
    mounts = [one for service in services.values() for one in service.get("volumes", []) if one["type"] == "bind"]
    assert mounts
    assert [one["source"] for one in mounts if not Path(one["source"]).exists()] == []
    assert all(one["read_only"] for one in mounts)


def test_prometheus_asks_each_service_that_has_metrics(services: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "ops/prometheus/compose.yml").read_text(encoding="utf-8"))
    [job] = config["scrape_configs"]
    there = {
        f"{name}:9464" for name, one in ours(compose(profiles=("monitoring",))["services"]).items() if name != "flower"
    }
    assert set(job["static_configs"][0]["targets"]) == there
    plain = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    assert job["job_name"] == plain["scrape_configs"][0]["job_name"], "the alerts ask for it"


def test_the_example_of_an_env_file_has_the_defaults(bare_environment: Path) -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    lines = [line[1:] for line in text.splitlines() if re.match(rf"#{PREFIX}[A-Z_]+=.", line)]
    (bare_environment / ".env").write_text("\n".join(lines), encoding="utf-8")
    given = dotenv_values(bare_environment / ".env")
    assert unknown([name for name in given if "BACKOFF__" not in name]) == []
    assert len(given) > 20
    loaded = Settings.load()
    assert {name for name in Settings.model_fields if getattr(loaded, name) != Settings.model_fields[name].default} <= {
        "backoff"
    }
