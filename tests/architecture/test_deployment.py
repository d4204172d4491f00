"""Check that the image and docker-compose.yml use valid commands and settings, and run nothing as root.

The tests have no Docker engine. docker compose itself reads its files, and our command line parses each command.
`tests/integration/test_deployed.py` runs what they start.
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
from gaugepost.settings import PREFIX, setting_names
from support.deployment import ROOT, compose, dockerfile, graceful, parses, unknown

HEALTHZ = "/opt/gaugepost/bin/healthz.sh"
SIMULATED = ("docker-compose.yml", "ops/compose.simulator.yml")
FILES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "plain": ((), ()),
    "monitoring": ((), ("monitoring",)),
    "gateway": ((), ("gateway",)),
    "simulator": (SIMULATED, ("simulator",)),
    "simulator and monitoring": (SIMULATED, ("simulator", "monitoring")),
}
PROFILES = {
    "monitoring": {"exporter", "prometheus", "grafana"},
    "simulator": {"simulator"},
    "gateway": {"gateway"},
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return compose(*SIMULATED, profiles=("monitoring", "simulator", "gateway"))["services"] | compose()["services"]


def ours(services: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in services.items() if one["image"] == "gaugepost"}


# The image


def test_image_has_stages_a_pinned_base_and_a_numeric_user() -> None:
    steps = dockerfile()
    words = [word for word, _ in steps]
    assert words.count("FROM") == 2
    base = dict(steps)["ARG"].partition("=")[2]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base), "a tag that names one version"
    last = steps[len(words) - words[::-1].index("FROM") :]
    assert [rest for word, rest in last if word == "USER"] == ["10001"]
    assert [word for word, _ in last].index("USER") > [word for word, _ in last].index("COPY")
    assert dict(last)["STOPSIGNAL"] == "SIGTERM"


def test_sources_of_the_image_exist_and_reach_the_builder() -> None:
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


def test_no_secret_gets_into_a_layer() -> None:
    layers = " ".join(rest for word, rest in dockerfile() if word in {"ENV", "ARG", "COPY", "RUN"})
    assert not re.search(r"(?i)secret|password|token|api_key|\.env\b", layers)
    names = [name for word, rest in dockerfile() if word == "ENV" for name in re.findall(r"(\w+)=", rest)]
    assert unknown(names) == []
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert not any(
        fnmatch.fnmatch(name, pattern) for name in (".env", "secrets/redis_url", ".git") for pattern in let_in
    )


def test_image_starts_the_command_line_and_has_its_health_check() -> None:
    steps = dict(dockerfile())
    assert json.loads(steps["ENTRYPOINT"]) == ["gaugepost"]
    check = json.loads(steps["HEALTHCHECK"].partition("CMD ")[2])
    assert check == [HEALTHZ, "worker"]
    assert ("COPY", "ops/healthz.sh /opt/gaugepost/bin/healthz.sh") in dockerfile()
    assert (ROOT / "ops/healthz.sh").stat().st_mode & 0o111


# docker-compose.yml


def names_on_networks(services: dict[str, Any]) -> dict[str, set[str]]:
    """Return the names on each network. A service that shares another's network has no name of its own there."""
    found: dict[str, set[str]] = {}
    for name, one in services.items():
        for network, options in one.get("networks", {}).items():
            found.setdefault(network, set()).update({name, *((options or {}).get("aliases") or [])})
    return found


@pytest.mark.starts_process
@pytest.mark.parametrize("which", FILES)
def test_docker_compose_reads_the_files(which: str) -> None:
    files, profiles = FILES[which]
    found = compose(*files, profiles=profiles)["services"]
    always = {"redis", "worker-eu", "worker-us", "worker-au", "beat", "flower"}
    assert set(found) == always.union(*(PROFILES[one] for one in profiles))


@pytest.mark.starts_process
def test_every_services_command_is_one_of_ours(services: dict[str, Any]) -> None:
    started = {name: one["command"] for name, one in ours(services).items() if name != "simulator"}
    assert len(started) == 7
    assert all(parses(command) for command in started.values())
    assert services["simulator"]["entrypoint"] == ["python", "-m", "gaugepost_simulator"]


@pytest.mark.starts_process
@pytest.mark.parametrize("which", FILES)
def test_environment_of_each_service_has_only_valid_settings(
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
                if value is not None:
                    patched.setenv(name, value.replace("/run/secrets", str(bare_environment)))
            Settings.load()


@pytest.mark.starts_process
def test_the_credentials_of_an_env_file_reach_the_workers_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("".join(f"{name}=of-{name}\n" for name in setting_names()))
    given = {
        name: {key.removeprefix(PREFIX) for key, value in one.get("environment", {}).items() if value == f"of-{key}"}
        for name, one in compose(profiles=("simulator", "monitoring", "gateway"), folder=tmp_path)["services"].items()
    }
    set_here = {"REDIS_URL_FILE", "METRICS_PORT", "METRICS_ADDRESS"}
    everything = {name.removeprefix(PREFIX) for name in setting_names()} - set_here
    assert given["worker-eu"] == given["worker-us"] == given["worker-au"] == everything
    assert given["beat"] == {"NAMESPACE", "REGIONS", "LOG_LEVEL", "LOG_FORMAT"}
    assert given["exporter"] == given["beat"] | {"BACKLOG_LIMIT", "CONTENT_LIMIT", "UPLOAD_INTERVAL", "UPLOAD_SCOPE"}
    limits = {"BACKLOG_LIMIT", "CONTENT_LIMIT", "UPLOAD_INTERVAL", "UPLOAD_SCOPE", "STORE_TIMEOUT", "WAIT_REPLICAS"}
    provider = {f"CONSOLE_OIDC_{name}" for name in ("CLAIM", "CLIENT_ID", "CLIENT_SECRET", "ISSUER", "ROLES")}
    more = provider | {"CONSOLE_URL", "DATA_KEY", "RETENTION_AUDIT", "WEBHOOK_NETWORKS"}
    assert given["gateway"] == given["beat"] | limits | more
    login = {f"FLOWER_OIDC_{name}" for name in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET", "USERS")}
    assert given["flower"] == given["beat"] | login | {"FLOWER_URL"}
    assert [name for name in ("redis", "prometheus", "grafana", "simulator") if given[name]] == []


@pytest.mark.starts_process
def test_compose_can_be_overridden_as_the_page_says(tmp_path: Path) -> None:
    page = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    [authorities, flower] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "override.yml").write_text(flower)
    (tmp_path / "authorities.yml").write_text(authorities)
    files = [str(tmp_path / name) for name in ("override.yml", "authorities.yml")]
    services = compose("docker-compose.yml", *files)["services"]
    assert [mount["target"] for mount in services["worker-eu"]["volumes"]] == ["/etc/ssl/company.pem"]
    environment = services["flower"]["environment"]
    assert "GAUGEPOST_FLOWER_BASIC_AUTH_FILE" not in environment
    assert "GAUGEPOST_FLOWER_OIDC_ISSUER" in environment


@pytest.mark.starts_process
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
        assert test[:2] in (["CMD", HEALTHZ], ["CMD", "bash"]), f"{name}: starts Python at each check"


@pytest.mark.starts_process
def test_grace_period_is_longer_than_an_exchange_and_within_a_lease(services: dict[str, Any]) -> None:
    workers = [one for name, one in services.items() if name.startswith("worker-")]
    assert [one["stop_grace_period"] for one in workers] == ["1m0s"] * 3
    assert graceful(60)


@pytest.mark.starts_process
def test_files_that_services_mount_exist(services: dict[str, Any]) -> None:
    mounts = [one for service in services.values() for one in service.get("volumes", []) if one["type"] == "bind"]
    assert mounts
    assert [one["source"] for one in mounts if not Path(one["source"]).exists()] == []
    assert all(one["read_only"] for one in mounts)


@pytest.mark.starts_process
@pytest.mark.parametrize("which", [which for which in FILES if "monitoring" in which])
def test_prometheus_asks_each_service_that_has_metrics_where_it_is(which: str) -> None:
    files, profiles = FILES[which]
    found = compose(*files, profiles=profiles)["services"]
    config = yaml.safe_load((ROOT / "ops/prometheus/compose.yml").read_text(encoding="utf-8"))
    job, gateway = config["scrape_configs"]
    assert gateway["static_configs"] == [{"targets": ["gateway:8080"]}]
    shown = [name for name in ours(found) if name not in {"flower", "simulator"}]
    at = {name: f"{name}:{found[name]['environment']['GAUGEPOST_METRICS_PORT']}" for name in shown}
    assert sorted(job["static_configs"][0]["targets"]) == sorted(at.values())
    names = names_on_networks(found)
    assert all(name in names[network] for name in shown for network in found["prometheus"]["networks"])
    together = [(found[name].get("network_mode", name), at[name].partition(":")[2]) for name in shown]
    assert len({*together}) == len(together), "two on one port of one network"
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
