"""Check manifests and units by the schemas of Kubernetes, by systemd, and by our command line."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from gaugepost.files.limits import MAX_FILE
from gaugepost_ops import exporter
from gaugepost_ops.cli.common import Exit
from gaugepost_ops.web.gateway import MOST_UPLOADS
from gaugepost_ops.web.server import GRACE_S
from support.deployment import (
    COMPOSE,
    K8S,
    ROOT,
    SYSTEMD,
    compose,
    deployments,
    graceful,
    manifests,
    parses,
    unit,
    unknown,
)

# ops/k8s


def config_maps() -> dict[str, dict[str, str]]:
    return {
        document["metadata"]["name"]: document["data"] for _, document in manifests() if document["kind"] == "ConfigMap"
    }


def test_manifests_are_valid_for_kubernetes() -> None:
    kinds = []
    for name, document in manifests():
        if name == "kustomization.yaml" or document["kind"] == "ScaledObject":
            continue
        kinds.append(document["kind"])
        kubernetes_validate.validate(document, "1.32", strict=True)
    assert sorted({*kinds}) == ["ConfigMap", "Deployment", "PodDisruptionBudget", "Secret", "Service"]
    named = yaml.safe_load((K8S / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert sorted(named) == sorted(
        one.name for one in K8S.glob("*.yaml") if one.name not in {"kustomization.yaml", "secrets.example.yaml"}
    )


def test_every_container_starts_one_of_our_commands_with_settings_that_are_some() -> None:
    config = config_maps()["gaugepost"]
    for name, pod in deployments().items():
        [box] = pod["containers"]
        assert parses(box["args"]), name
        assert unknown([*config, *(one["name"] for one in box.get("env", []))]) == [], name
        assert "livenessProbe" in box


def test_every_pod_is_restricted_and_gets_documented_secrets_as_files() -> None:
    described = {
        document["metadata"]["name"]: document["stringData"]
        for name, document in manifests()
        if document["kind"] == "Secret"
    }
    for name, pod in deployments().items():
        [box] = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"], name
        assert not pod["automountServiceAccountToken"], name
        assert box["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }, name  # fmt: skip
        assert "memory" in box["resources"]["limits"], name
        mounted = {one["name"]: one["mountPath"] for one in box["volumeMounts"]}
        files = {
            f"{mounted[volume['name']]}/{key}"
            for volume in pod["volumes"] if "secret" in volume
            for key in described[volume["secret"]["secretName"]]
        }  # fmt: skip
        wanted = {one["value"] for one in box.get("env", []) if one["name"].endswith("_FILE")} | {
            "/run/secrets/redis/url"
        }
        assert wanted == files, name
        assert "/tmp" in mounted.values(), name


def test_flower_gets_its_options_unchanged_from_their_file() -> None:
    pod = deployments()["gaugepost-flower"]
    [box] = pod["containers"]
    mounted = {one["mountPath"]: one["name"] for one in box["volumeMounts"]}
    volumes = {one["name"]: one for one in pod["volumes"]}
    conf = Path(box["args"][box["args"].index("--conf") + 1])
    options = config_maps()[volumes[mounted[str(conf.parent)]]["configMap"]["name"]]
    assert options == {conf.name: (ROOT / "ops/flowerconfig.py").read_text(encoding="utf-8")}


def test_regions_have_workers_budget_and_scale_and_differ_only_in_name() -> None:
    texts = {region: (K8S / f"worker-{region}.yaml").read_text(encoding="utf-8") for region in ("eu", "us", "au")}
    plain = {
        re.sub(rf"\b{region}\b", "R", text).replace(f"_{region.upper()}_", "_R_") for region, text in texts.items()
    }
    assert len(plain) == 1
    deployment, budget, scale = yaml.safe_load_all(texts["eu"])
    pod = deployment["spec"]["template"]
    assert graceful(pod["spec"]["terminationGracePeriodSeconds"])
    assert budget["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert scale["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"], "each roll-out would undo the scale"


def test_gateway_ends_after_it_gets_no_new_connections() -> None:
    deployment, *_ = yaml.safe_load_all((K8S / "gateway.yaml").read_text(encoding="utf-8"))
    pod = deployment["spec"]["template"]["spec"]
    program, pause = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert (program, int(pause) > 0) == ("sleep", True)
    assert pod["terminationGracePeriodSeconds"] > int(pause) + GRACE_S
    values = unit(ROOT / "ops/systemd/gaugepost-gateway.service")
    assert float(values["TimeoutStopSec"][0]) > GRACE_S
    assert int(values["LimitNOFILE"][0]) > 1_024, "each connection is a file"


@pytest.mark.starts_process
def test_files_that_the_gateway_takes_go_to_disk() -> None:
    room = MOST_UPLOADS * MAX_FILE * 3  # as it came, in UTF-8, and in parts
    [tmp] = [one["emptyDir"] for one in deployments()["gaugepost-gateway"]["volumes"] if one["name"] == "tmp"]
    assert (tmp.keys(), tmp["sizeLimit"][-2:]) == ({"sizeLimit"}, "Gi")
    assert int(tmp["sizeLimit"][:-2]) * 2**30 > room
    gateway = compose(profiles=("gateway",))["services"]["gateway"]
    assert not gateway.get("tmpfs")
    assert {(one["type"], one["target"]) for one in gateway["volumes"]} == {("volume", "/tmp")}
    values = unit(ROOT / "ops/systemd/gaugepost-gateway.service")
    assert "TMPDIR=/var/tmp" in values["Environment"]
    assert values["PrivateTmp"] == ["yes"], "it makes /var/tmp writable"


def test_scaled_object_matches_the_schema_of_keda() -> None:
    """No package has KEDA's schema; the fields are from keda.sh/docs/latest/reference/scaledobject-spec."""
    *_, scale = yaml.safe_load_all((K8S / "worker-eu.yaml").read_text(encoding="utf-8"))
    assert (scale.keys(), scale["apiVersion"]) == ({"apiVersion", "kind", "metadata", "spec"}, "keda.sh/v1alpha1")
    spec = scale["spec"]
    numbers = {"pollingInterval", "cooldownPeriod", "minReplicaCount", "maxReplicaCount"}
    assert spec.keys() == {"scaleTargetRef", "triggers"} | numbers
    assert {type(spec[name]) for name in numbers} == {int}
    assert 0 < spec["minReplicaCount"] < spec["maxReplicaCount"], "with no pod at all no worker would take a new job"
    assert spec["scaleTargetRef"].keys() == {"name"}, "the default is a Deployment"
    [trigger] = spec["triggers"]
    assert trigger.keys() == {"type", "metricType", "metadata"}
    assert (trigger["type"], trigger["metricType"]) == ("prometheus", "AverageValue")
    assert trigger["metadata"].keys() == {"serverAddress", "query", "threshold"}
    assert {type(value) for value in trigger["metadata"].values()} == {str}
    assert float(trigger["metadata"]["threshold"]) > 0


@pytest.mark.needs("promtool")
def test_metrics_of_the_scaler_come_from_the_exporter(tmp_path: Path) -> None:
    *_, scale = yaml.safe_load_all((K8S / "worker-eu.yaml").read_text(encoding="utf-8"))
    [trigger] = scale["spec"]["triggers"]
    query = trigger["metadata"]["query"]
    source = Path(exporter.__file__).read_text(encoding="utf-8")
    for name in re.findall(r"gaugepost_(\w+)\{", query):
        assert f'"{name}"' in source, f"the exporter has no {name}"
    rules = tmp_path / "rules.yml"
    rules.write_text(
        json.dumps({"groups": [{"name": "scale", "rules": [{"record": "gaugepost:scale", "expr": query}]}]})
    )
    done = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ops/systemd

UNITS = sorted(SYSTEMD.glob("*.service"))


@pytest.mark.starts_process
def test_paths_in_the_units_are_those_the_page_installs(tmp_path: Path) -> None:
    """Run the commands of the page below another root folder."""
    page = (ROOT / "docs/deployment.md").read_text(encoding="utf-8").partition("## Hosts without containers")[2]
    commands = [line[2:].partition("   #")[0].split() for line in page.splitlines() if line.startswith("# install ")]
    for words in commands:
        there = [f"{tmp_path}{word}" if word.startswith("/") else word for word in words]
        done = subprocess.run(there, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    units = [unit(path) for path in SYSTEMD.iterdir()]
    pages = [one.removeprefix("file:") for found in units for one in found["Documentation"]]
    files = [name for found in units for name in found.get("EnvironmentFile", [])]
    conf = [
        word for found in units for start in found.get("ExecStart", []) for word in start.split() if "/etc/" in word
    ]
    assert (len(pages), len(files), len(conf)) == (6, 5, 1)
    assert [name for name in pages + files + conf if not (tmp_path / name.lstrip("/")).is_file()] == []
    assert (tmp_path / files[0].lstrip("/")).stat().st_mode & 0o777 == 0o600


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return the units, with the command of this environment in place of a host's."""
    command = COMPOSE.with_name("gaugepost")
    for path in SYSTEMD.iterdir():
        text = path.read_text(encoding="utf-8").replace("/opt/gaugepost/bin/gaugepost", str(command))
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    (tmp_path / "gaugepost-worker@eu.service").symlink_to("gaugepost-worker@.service")
    return tmp_path


@pytest.mark.needs("systemd-analyze")
def test_units_are_valid_for_systemd(installed: Path) -> None:
    names = [str(path) for path in installed.iterdir() if "@." not in path.name]
    assert len(names) == 6
    done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_rates_each_unit_as_shut_in(path: Path, installed: Path) -> None:
    asked = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(installed / path.name)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_unit_starts_our_command_and_stops_it_warmly(path: Path) -> None:
    values = unit(path)
    [command] = values["ExecStart"]
    program, *arguments = shlex.split(command.replace("%i", "eu"))
    assert program == "/opt/gaugepost/bin/gaugepost"
    assert parses(arguments)
    assert unknown([one.partition("=")[0] for one in values["Environment"]]) == []
    assert values["KillMode"] == ["mixed"], "a second signal to the other processes would end them cold"
    assert values["User"] == ["gaugepost"]
    assert values["RestartPreventExitStatus"] == [str(int(Exit.NOT_PERMITTED))], "a restart gives no right in Redis"
    if "worker" in path.name:
        assert graceful(float(values["TimeoutStopSec"][0]))
