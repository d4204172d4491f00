"""`make chaos [SECONDS=600] [SEED=…]`: make a long run, print its progress, and add a row to docs/chaos.md."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from support.chaos import Totals, chaos
from support.chaos.hosts import Clock

_ROOT = Path(__file__).parents[3]
_RESULTS = _ROOT / "docs" / "chaos.md"
_RATE = 60
_HTTP = (
    "429 with Retry-After",
    "503 with Retry-After",
    "501",
    "HTML",
    "broken JSON",
    "short bodies",
    "504 after the effect",
    "unclear after the effect",
    "slow answers",
)


def main() -> int:
    seconds = float(os.environ.get("SECONDS") or 600)
    seed = int(os.environ.get("SEED") or random.randrange(1, 1_000_000))
    fail_over = bool(os.environ.get("FAILOVER"))
    _report(f"SEED={seed} SECONDS={seconds:.0f}{' FAILOVER=1' if fail_over else ''}")
    if not Clock.can_jump():
        _report("no clock will jump: Debian's libfaketime is not installed")
    began = datetime.now(UTC)
    folder = Path(tempfile.mkdtemp(prefix="gaugepost-chaos-"))
    _report(f"logs and Redis' files are in {folder}")
    drain_within = max(180, seconds)
    totals = chaos(
        folder, seed, seconds=seconds, rate=_RATE, drain_within=drain_within, fail_over=fail_over, report=_report
    )
    for name, value in _columns(totals).items():
        _report(f"{name:28} {value}")
    row = [f"{began:%Y-%m-%d %H:%M}", _commit(), str(seed), f"{seconds:.0f}", *map(str, _columns(totals).values())]
    with _RESULTS.open("a", encoding="utf-8") as results:
        results.write(f"| {' | '.join(row)} |\n")
    for one in totals.wrong()[:40]:
        _report(f"WRONG {one}")
    if totals.wrong():
        return 1
    shutil.rmtree(folder)
    _report("nothing lost, nothing doubled, all in order")
    return 0


def _columns(totals: Totals) -> dict[str, int]:
    """Return the columns of docs/chaos.md in their order, without the first four."""
    done = totals.done
    return {
        "jobs": totals.jobs,
        "effects": totals.effects,
        "of them under fire": totals.effects_under_fire,
        "worker kills": done.get("worker kills", 0),
        "worker freezes": done.get("worker freezes", 0),
        "beat kills": done.get("beat kills", 0),
        "redis kills": done.get("redis kills", 0),
        "fail-overs": done.get("fail-overs", 0),
        "redis full": done.get("redis full", 0),
        "connections cut": done["cuts"],
        "requests cut before": done["cut before"],
        "answers cut after": done["cut after"],
        "bad answers": sum(done.get(name, 0) for name in _HTTP),
        "revoked tokens": done.get("revoked tokens", 0),
        "clock jumps": done.get("clock jumps", 0),
        "errors to producers": done["errors to producers"],
        "holds lifted": done["holds lifted"],
        "unknown": totals.unknown,
        "slowed uploads": totals.slowed_uploads,
        "lost": len(totals.lost),
        "unknown without cause": len(totals.unknown_without_cause),
        "doubled, answer lost": totals.doubled_with_lost_answers,
        "doubled, forgotten by a fail-over": totals.forgotten,
        "doubled, answer not lost": len(totals.doubled),
        "out of order": len(totals.out_of_order),
        "early": len(totals.early_uploads) + len(totals.early),
        "second jobs": len(totals.second_jobs),
        "ledger faults": len(totals.untruths),
    }


def _commit() -> str:
    """Return the commit, with `+` if the checkout has uncommitted changes."""
    git = ["git", "-C", str(_ROOT)]
    commit = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return (commit or "?") + ("+" if changed else "")


def _report(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
