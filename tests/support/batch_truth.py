"""Check what Redis has of batches: their counts, their members, and the decisions about their canaries."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.ledger_truth import Truth

_OPEN = ("queued", "waiting", "sending", "parked")
_ENDED = ("delivered", "dead", "cancelled", "expired", "unknown")


def check_batches(truth: Truth) -> None:
    """Add the contradictions to `truth.faults`."""
    rows = {name.removeprefix("batch:"): row for name, row in truth.hashes.items() if name.startswith("batch:")}
    jobs: dict[str, list[dict[str, str]]] = {}
    for job in truth.jobs.values():
        if "batch" in job:
            jobs.setdefault(job["batch"], []).append(job)
    if rows.keys() != jobs.keys() or rows.keys() != truth.sets.get("batches", {}).keys():
        truth.faults.append(f"batches {sorted(rows)} have jobs {sorted(jobs)}, listed {truth.sets.get('batches')}")
    for name, row in rows.items():
        _check_counts(truth, name, row, jobs.get(name, []))
        _check_canary(truth, name, row)


def _check_counts(truth: Truth, name: str, row: dict[str, str], jobs: list[dict[str, str]]) -> None:
    counted = {state: int(row.get(state, "0")) for state in (*_OPEN, *_ENDED)}
    states = Counter(job["state"] for job in jobs)
    wrong = [state for state in _OPEN if counted[state] != states[state]]
    wrong += [state for state in _ENDED if counted[state] < states[state]]
    if wrong or int(row["stored"]) != len(jobs) or int(row["total"]) != sum(counted.values()):
        truth.faults.append(f"batch {name} counts {row}, its jobs are {dict(states)}")
    for job in jobs:
        if job.get("tallied") != job["state"]:
            truth.faults.append(f"a job of batch {name} is {job['state']} and counted as {job.get('tallied')}")


def _check_canary(truth: Truth, name: str, row: dict[str, str]) -> None:
    if "canary" not in row:
        return
    outcomes = list(truth.hashes.get(f"canary:{name}", {}).values())
    size, state = int(row["canary"]), row["canary_state"]
    if len(outcomes) > size:
        truth.faults.append(f"the canary of {name} has {len(outcomes)} members")
    if (name in truth.other.get("canaries", ())) != (state == "running"):
        truth.faults.append(f"the canary of {name} is {state}")
    if state == "running" and len(outcomes) == size and "" not in outcomes:
        truth.faults.append(f"the canary of {name} has ended, and is not decided")
    held, scope = truth.sets.get(f"held:batch:{name}", {}), f"batch:{name}"
    if held and state in {"running", "held"} and scope not in truth.hashes.get("holds", {}):
        truth.faults.append(f"{len(held)} jobs of {name} are released, and its canary is {state}")
    if state == "passed" and scope in truth.hashes.get("holds", {}):
        truth.faults.append(f"the canary of {name} has passed, and its hold is open")
