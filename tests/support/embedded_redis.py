"""Find the servers that the embedded Redis has started."""

from __future__ import annotations

from pathlib import Path


def servers(folder: Path) -> list[int]:
    """Return the ids of server processes that run in this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder) in str((entry / "cwd").readlink()):
                name = (entry / "comm").read_text().strip()
                found += [int(entry.name)] if "redis" in name or "valkey" in name else []
        except OSError:
            continue
    return found
