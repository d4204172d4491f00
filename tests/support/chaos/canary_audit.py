"""Check the rule of canaries: no other job of a batch arrives before the jobs of its canary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from support.ledger_truth import Truth


def sent_before_canary(truths: Mapping[str, Truth], effects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a description of each job that arrived before a delivered job of the canary that it had to wait for.

    An operator resumes canaries that have stopped, so only those that have passed count.
    """
    first: dict[str, int] = {}
    for effect in effects:
        first.setdefault(str(effect["idempotency_key"]), int(effect["n"]))
    for region, truth in truths.items():
        for name, row in truth.hashes.items():
            if name.startswith("batch:") and row.get("canary_state") == "passed":
                batch = name.removeprefix("batch:")
                for job_id in _early(truth, batch, first):
                    yield f"{job_id} of {batch} in {region}"


def _early(truth: Truth, batch: str, first: Mapping[str, int]) -> Iterator[str]:
    members = truth.hashes.get(f"canary:{batch}", {}).keys()
    arrived = [first[one] for one in members if one in first and truth.state(one) == "delivered"]
    for job_id, job in truth.jobs.items():
        others = job.get("batch") == batch and job_id not in members
        if others and job_id in first and arrived and first[job_id] < max(arrived):
            yield job_id
