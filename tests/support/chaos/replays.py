"""Check the operations of a finished run: all have ended, their sums add up, and none replayed a job twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from gaugepost.ledger.operations import Operation, OperationState
from support.ledger_truth import Truth


def untrue_operations(operations: Sequence[Operation], truths: Mapping[str, Truth]) -> list[str]:
    """Return what is wrong. `truths`: region → content of Redis. A long history may have lost its oldest entries."""
    replays = Counter(pair for truth in truths.values() for pair in _replays(truth))
    of_operation = Counter(operation for _, operation in replays.elements())
    faults = [f"{operation} replayed {job} {n} times" for (job, operation), n in replays.items() if n > 1]
    for one in operations:
        if one.state is not OperationState.FINISHED or one.progress != one.matched:
            faults.append(f"{one} has not finished with all of its jobs")
        if of_operation[one.id] > one.done:
            faults.append(f"{one} replayed {of_operation[one.id]} jobs")
    return faults


def _replays(truth: Truth) -> Iterator[tuple[str, str]]:
    """Yield each replay as (job, operation)."""
    for job_id, job in truth.jobs.items():
        for line in job.get("history", "").splitlines():
            entry = json.loads(line)
            if entry["event"] == "replayed":
                yield job_id, entry["operation"]
