"""Run older versions of gaugepost beside today's: see `versions/README.md`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from support.programs import skip_without
from support.stack import Stack
from support.versions.pack import pack, previous

FOLDER = Path(__file__).parent / "versions"
VERSIONS = sorted(path.stem.removeprefix("gaugepost-") for path in FOLDER.glob("gaugepost-*.zip"))

PREVIOUS = "previous"
"""The packages before their last change, packed on request. It exists only if git's history is available."""
if previous() is not None or shutil.which("git") is None:
    VERSIONS.append(PREVIOUS)

ONE_LIST = {"26f2acf"}  # one list of queued jobs for all sources: jobs that are enqueued since wait for newer workers
UNTRACED = {"26f2acf", "10ddf18"}  # no `traceparent` in jobs
OLDER_NAMES = sorted(set(VERSIONS) - {PREVIOUS})  # no namespace in the names of keys and queues
UNHASHED = {*UNTRACED, "8e1f5aa"}  # no hash of what a job sends beside its idempotency key


def _packed(version: str, folder: Path) -> Path:
    if version == PREVIOUS:
        skip_without("git")
    commit = previous() if version == PREVIOUS else None
    return FOLDER / f"gaugepost-{version}.zip" if commit is None else pack(commit, folder)


def _programs(packed: Path) -> tuple[str, str]:
    """Return the modules that run its command line and its processes: one for both since gaugepost_ops exists."""
    has_ops = "gaugepost_ops/__main__.py" in zipfile.ZipFile(packed).namelist()
    return ("gaugepost_ops", "gaugepost_ops") if has_ops else ("gaugepost", "gaugepost_workers")


class Old:
    """One version's processes, over a stack's Redis and simulator."""

    def __init__(self, version: str, stack: Stack) -> None:
        self._stack = stack
        packed = _packed(version, stack.folder)
        self._env = stack.env | {"PYTHONPATH": str(packed)}
        self._cli, self._parts = _programs(packed)

    def python(self, code: str, given: str = "") -> Any:
        """Run code in this version; return the JSON value that it prints."""
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=self._env, cwd=self._stack.folder, input=given, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    def enqueue(self, *jobs: dict[str, Any]) -> list[str]:
        """Enqueue by this version's command line; return the ids."""
        done = subprocess.run(
            [sys.executable, "-m", self._cli, "enqueue", "-"],
            env=self._env, cwd=self._stack.folder, input="\n".join(map(json.dumps, jobs)),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [json.loads(line)["id"] for line in done.stdout.splitlines()]

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a process of this version; it ends with the stack."""
        with (self._stack.folder / f"{len(self._stack.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", self._parts, *command],
                env=self._env, cwd=self._stack.folder, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._stack.processes.append(process)
        return process
