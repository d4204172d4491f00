"""Check the built wheel in an otherwise empty environment, as services install it."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from support.locks import ROOT, pins

pytestmark = pytest.mark.starts_process


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), str(ROOT)],
        check=True,
    )
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=True)
    locked = home / "locked.txt"  # a newer release on the index changes nothing here either
    locked.write_text("".join(f"{pin}\n" for pin in pins("demo").values()))
    options = ["-q", "--disable-pip-version-check", "--only-binary", ":all:", "--constraint", locked]
    subprocess.run([home / "bin/python", "-m", "pip", "install", *options, wheel], check=True)
    return home / "bin/python"


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *arguments], capture_output=True, text=True, check=False, cwd=python.parent)


def test_wheel_installs_at_most_ten_distributions(python: Path) -> None:
    listed = json.loads(run(python, "-m", "pip", "list", "--format=json").stdout)
    names = {entry["name"].lower() for entry in listed} - {"pip", "setuptools"}
    assert {"gaugepost", "redis", "pydantic", "pydantic-settings"} <= names
    assert len(names) <= 10, sorted(names)


def test_importing_gaugepost_imports_no_worker_module(python: Path) -> None:
    code = "import sys, gaugepost; print(*{name.split('.')[0] for name in sys.modules})"
    done = run(python, "-W", "error", "-c", code)
    assert done.returncode == 0, done.stderr
    assert not {"celery", "requests", "kombu", "typer", "rich", "flower", "cryptography"} & set(done.stdout.split())


def test_wheel_can_make_a_job_and_has_the_scripts(python: Path) -> None:
    code = (
        "from gaugepost import Record; from gaugepost.ledger.scripts import load_scripts;"
        "Record(region='eu', configuration='c', record={'a': 1}); print(len(load_scripts()))"
    )
    done = run(python, "-c", code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(list((ROOT / "producers/gaugepost/lua").glob("*.lua")))


def test_without_its_extra_the_command_line_says_how_to_install_it(python: Path) -> None:
    done = subprocess.run([python.parent / "gaugepost", "status"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'gaugepost[cli]'" in done.stderr


def test_a_data_key_without_its_extra_says_how_to_install_it(python: Path) -> None:
    code = "from gaugepost import Settings; Settings.load(data_key='A' * 43 + '=')"
    done = run(python, "-c", code)
    assert done.returncode == 1
    assert "SettingsError: GAUGEPOST_DATA_KEY: needs more: pip install 'gaugepost[encryption]'" in done.stderr


def test_test_kit_without_its_extra_says_how_to_install_it(python: Path) -> None:
    done = run(python, "-c", "import gaugepost.testing")
    assert done.returncode == 1
    assert "pip install 'gaugepost[testing]'" in done.stderr


def test_the_wheel_holds_five_packages_and_their_type_marks(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = ["gaugepost", "gaugepost_ops", "gaugepost_simulator", "gaugepost_tasks", "gaugepost_workers"]
    assert sorted({name.split("/")[0] for name in names if "dist-info" not in name}) == packages
    assert all(f"{package}/py.typed" in names for package in packages)
