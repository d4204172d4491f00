"""Check ops/install.sh, which the Makefile calls: it installs every environment from its lock alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import venv
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pip
import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.deployment import dockerfile
from support.locks import ROOT, pins, wheel

PYTHONS = ("3.11.2", "3.11.14", "3.12.12", "3.13.5", "3.14.0")
SYSTEMS = (("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64"))
LOCKS = {"demo": {"worker", "simulator", "embedded"}, "dev": {"worker", "simulator", "embedded", "testing", "otel"}}


class Index:
    """A folder of wheels as the only package index, and an environment for ops/install.sh."""

    def __init__(self, folder: Path) -> None:
        self.wheels, self.venv, self._folder = folder / "wheels", folder / "venv", folder
        self.wheels.mkdir()
        venv.create(self.venv)
        (folder / "path").mkdir()
        (folder / "path/pip").symlink_to(Path(pip.__file__).parent)  # installing pip would take seconds
        self._settings = {
            "PYTHONPATH": str(folder / "path"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_CONFIG_FILE": str(folder / "pip.conf"),
        }

    def publish(self, name: str, version: str, *requires: str) -> str:
        return wheel(self.wheels, name, version, *requires)

    def constrain(self, line: str) -> None:
        """Set the constraints in this machine's configuration of pip."""
        (self._folder / "allowed.txt").write_text(line)
        (self._folder / "pip.conf").write_text(f"[global]\nconstraint = {self._folder / 'allowed.txt'}\n")

    def install(self, *lines: str) -> subprocess.CompletedProcess[str]:
        lock = self._folder / "lock.txt"
        lock.write_text("\n".join(lines))
        return self._run(str(ROOT / "ops/install.sh"), str(self.venv), str(lock))

    def installed(self) -> dict[str, str]:
        listed = self._run(str(self.venv / "bin/python"), "-m", "pip", "list", "--format=json")
        return {one["name"]: one["version"] for one in json.loads(listed.stdout)}

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        return subprocess.run(command, env=outside | self._settings, capture_output=True, text=True, check=False)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path)


@pytest.mark.starts_process
def test_newer_releases_on_the_index_change_nothing(index: Index) -> None:
    lock = [index.publish("upper", "1.0", "lower[more]>=1.0"), index.publish("lower", "1.0")]
    index.publish("upper", "2.0", "lower>=2.0")
    index.publish("lower", "2.0")
    index.constrain("lower>=1.0")
    done = index.install(*lock)
    assert done.returncode == 0, done.stderr
    assert index.installed() == {"upper": "1.0", "lower": "1.0"}


@pytest.mark.starts_process
def test_constraints_of_the_machine_do_not_contradict_the_lock(index: Index) -> None:
    lock = index.publish("lower", "1.0")
    index.publish("lower", "2.0")
    index.constrain("lower>=2.0")
    done = index.install(lock)
    assert done.returncode == 0, done.stderr
    assert index.installed() == {"lower": "1.0"}


@pytest.mark.starts_process
@pytest.mark.parametrize("locked", [(), ("1.0",)], ids=["missing", "too old"])
def test_lock_without_what_a_package_requires_fails(index: Index, locked: Iterable[str]) -> None:
    lock = [index.publish("lower", version) for version in locked]
    index.publish("lower", "2.0")
    done = index.install(index.publish("upper", "1.0", "lower>=2.0"), *lock)
    assert done.returncode == 1
    assert "upper 1.0 " in done.stderr


@pytest.mark.starts_process
def test_wheel_that_is_not_the_locked_one_is_refused(index: Index) -> None:
    lock = index.publish("lower", "1.0")
    index.publish("lower", "1.0", "other")
    done = index.install(lock)
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert index.installed() == {}


@pytest.mark.starts_process
def test_lock_without_a_hash_is_refused(index: Index) -> None:
    index.publish("lower", "1.0")
    done = index.install("lower==1.0")
    assert done.returncode == 1
    assert "Hashes are required" in done.stderr


def test_makefile_and_image_install_with_the_script_alone() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    steps = [rest for word, rest in dockerfile() if word == "RUN"]
    assert len(re.findall(r"ops/install\.sh \S+ \$<", makefile)) == 2, "one for .venv, one for .venv-bench"
    assert sum("ops/install.sh /opt/gaugepost requirements/demo.txt" in step for step in steps) == 2
    assert [text for text in (makefile, *steps) if re.search(r"pip\b.* install", text)] == []


def environments() -> Iterator[dict[str, str]]:
    for version in PYTHONS:
        for sys_platform, system, machine in SYSTEMS:
            yield {name: str(value) for name, value in default_environment().items()} | {
                "python_full_version": version,
                "python_version": version.rpartition(".")[0],
                "sys_platform": sys_platform,
                "platform_system": system,
                "platform_machine": machine,
            }


def named(environment: dict[str, str]) -> str:
    return "-".join(environment[name] for name in ("python_full_version", "sys_platform", "platform_machine"))


def required(root: str, extras: Iterable[str], environment: dict[str, str]) -> Iterator[Requirement]:
    """Yield all direct and indirect requirements of a distribution in an environment, from the metadata."""
    open_ends, seen = [(root, extra) for extra in ("", *extras)], set()
    while open_ends:
        name, extra = open_ends.pop()
        for requirement in map(Requirement, _metadata(name)):
            if requirement.marker is not None and not requirement.marker.evaluate(environment | {"extra": extra}):
                continue
            yield requirement
            found = {(canonicalize_name(requirement.name), more) for more in ("", *requirement.extras)} - seen
            seen |= found
            open_ends += found


def _metadata(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:  # a lock's package for other machines than this one
        return []


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("environment", [*environments()], ids=named)
def test_lock_holds_all_requirements(lock: str, environment: dict[str, str]) -> None:
    pinned = pins(lock)
    missing = []
    for requirement in required("gaugepost", LOCKS[lock], environment):
        found = pinned.get(canonicalize_name(requirement.name))
        there = found is not None and (found.marker is None or found.marker.evaluate(environment))
        if requirement.name != "gaugepost" and not (there and satisfies(found, requirement)):
            missing.append(str(requirement))
    assert missing == []


def satisfies(pin: Requirement | None, requirement: Requirement) -> bool:
    assert pin is not None
    [version] = [one.version for one in pin.specifier]
    return requirement.specifier.contains(version, prereleases=True)


def test_environment_for_tests_holds_the_one_for_the_demo() -> None:
    demo, dev = pins("demo"), pins("dev")
    assert demo
    assert {name: str(pin) for name, pin in demo.items()} == {name: str(dev[name]) for name in demo}
