"""Packs a commit's packages into a zip that Python imports from: `python pack.py [COMMIT]`."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
FOLDERS = ("producers", "tasks", "workers", "ops/gaugepost_ops")


def git(*arguments: str) -> bytes:
    alone = ["git", "--no-optional-locks", *arguments]  # whoever commits meanwhile is not kept from it
    return subprocess.run(alone, cwd=HERE.parents[2], capture_output=True, check=True).stdout


def previous() -> str | None:
    """Return the commit that has the packages as they were before their last change; None without git's history."""
    try:
        changed = git("log", "-1", "--format=%H", "--", *FOLDERS).decode().strip()
        commit = changed if git("status", "--porcelain", "--", *FOLDERS) else f"{changed}^"
        return git("rev-parse", "--verify", commit).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return None  # a shallow clone, or none at all


def pack(commit: str, folder: Path = HERE) -> Path:
    """Write the zip; the same commit gives the same bytes."""
    short = git("rev-parse", "--short=7", commit).decode().strip()
    target = folder / f"gaugepost-{short}.zip"
    there = git("ls-tree", "--name-only", commit, *FOLDERS).decode().split()  # older ones have no ops/gaugepost_ops
    with (
        tarfile.open(fileobj=io.BytesIO(git("archive", commit, *there))) as tree,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed,
    ):
        for member in sorted(tree.getmembers(), key=lambda member: member.name):
            found = tree.extractfile(member) if "/demo/" not in member.name else None
            if found is not None:
                packed.writestr(zipfile.ZipInfo(member.name.partition("/")[2]), found.read(), zipfile.ZIP_DEFLATED)
    return target


if __name__ == "__main__":
    sys.stdout.write(f"{pack(sys.argv[1] if len(sys.argv) > 1 else 'HEAD')}\n")
