"""Read CPU seconds and peak memory of processes from Linux's /proc."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Use:
    """What a group of processes has used: CPU seconds, the sum of their peak memory, and the largest peak, in MB."""

    cpu_s: float
    peak_mb: float
    peak_process_mb: float


def tree(pids: list[int]) -> list[int]:
    """Return these processes and all their descendants in any process group."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    found, left = [], list(pids)
    while left:
        pid = left.pop()
        found.append(pid)
        left += children[pid]
    return found


def used(pids: list[int]) -> Use:
    """Return what running processes have used, with their ended children."""
    times = [fields for pid in pids if (fields := _stat(pid))]
    peaks = [_peak_mb(pid) for pid in pids]
    cpu = sum(int(ticks) for fields in times for ticks in fields[11:15]) * _TICK_S
    return Use(cpu, sum(peaks), max(peaks, default=0.0))


def memory_mb(pid: int) -> float:
    """Return the current memory of a process in MB."""
    return _status_mb(pid, "VmRSS:")


def busy_s() -> float:
    """Return the CPU seconds that the whole machine has used since it started."""
    user, nice, system, _, _, irq, softirq = map(int, (_PROC / "stat").read_text().split(None, 8)[1:8])
    return (user + nice + system + irq + softirq) * _TICK_S


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name; [] if the process has ended."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _peak_mb(pid: int) -> float:
    return _status_mb(pid, "VmHWM:")


def _status_mb(pid: int, name: str) -> float:
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name)), 0.0)


def about() -> str:
    """Describe this machine in one line."""
    info = (_PROC / "cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), "unknown CPU")
    total = int((_PROC / "meminfo").read_text().split()[1]) / 1024 / 1024
    return (
        f"{os.cpu_count()} × {model}, {total:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"
    )
