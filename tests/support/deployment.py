"""Read the files of a deployment: commands, environment names, services, containers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from gaugepost.settings import PREFIX, Settings, setting_names
from gaugepost_ops.cli.app import load

ROOT = Path(__file__).parents[2]
K8S = ROOT / "ops/k8s"
SYSTEMD = ROOT / "ops/systemd"
LONGEST_EXCHANGE = sum(Settings.model_fields[name].default for name in ("connect_timeout", "read_timeout")) + 1
COMPOSE = Path(sys.executable).with_name("docker-compose")


def parses(argv: Sequence[str]) -> bool:
    """Return whether our command line accepts these arguments, without running them. Raises click's errors."""
    command: Any = load(argv[0])
    context = command.make_context(argv[0], list(argv[1:]))
    while hasattr(command, "resolve_command"):
        _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(command.name, rest, parent=context)
    return True


def graceful(seconds: float) -> bool:
    """Return whether a grace period is longer than an exchange and shorter than a lease."""
    return LONGEST_EXCHANGE < seconds < Settings.model_fields["lease"].default


def unknown(names: Sequence[str]) -> list[str]:
    """Return the names that look like settings but do not exist."""
    return [name for name in names if name.startswith(PREFIX) and name not in setting_names()]


def compose(*files: str, profiles: Sequence[str] = (), folder: Path = ROOT) -> dict[str, Any]:
    """Return the compose files as docker compose reads them in a folder, with its `.env`."""
    if not COMPOSE.exists():
        pytest.skip("needs docker-compose, which requirements/dev-sdist.txt has for Linux on x86-64 only")
    named = [option for name in files or ("docker-compose.yml",) for option in ("--file", str(ROOT / name))]
    wanted = [option for name in profiles for option in ("--profile", name)]
    done = subprocess.run(
        [COMPOSE, "--project-directory", folder, *named, *wanted, "config", "--format", "json"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.lower(), done.stderr
    return json.loads(done.stdout)


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(K8S.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield path.name, document


def deployments() -> dict[str, dict[str, Any]]:
    """Return the pod of each Deployment, by its name."""
    return {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]
        for _, document in manifests()
        if document["kind"] == "Deployment"
    }


def unit(path: Path) -> dict[str, list[str]]:
    """Return the values of a unit by name. systemd's form is not that of ini files."""
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def dockerfile() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each as its word and its arguments in one line."""
    lines = (ROOT / "ops/Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word]
