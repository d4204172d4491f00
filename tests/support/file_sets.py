"""Stage, enqueue and follow file sets in a test of the ledger."""

from __future__ import annotations

from gaugepost.ledger import Claimed, Entry, FileSet
from gaugepost.transitions import Parked, Phase, Transition
from support.ledger_harness import SLOT_MS, Bench

PREFIX = "gaugepost:{eu}:"
CONTENT = b"Email\na@b.example\n" * 100
SOON = 1000
PROCESSING = Parked(SOON, "processing", Phase.PROCESSING)
LOOKUP = Parked(SOON, "lost_answer", Phase.LOOKUP)
BY_FAMILY = {"upload_scope": "family"}


def stage(bench: Bench, entries: list[Entry]) -> None:
    for entry in entries:
        bench.ledger.file_sets.stage(entry.id, CONTENT)


def accept(
    bench: Bench, made_set: tuple[FileSet, list[Entry]], *, again: bool = False, first: bool = False
) -> list[str]:
    """Stage and enqueue a file set; return the ids of its parts."""
    files, entries = made_set
    stage(bench, entries)
    assert bench.ledger.file_sets.enqueue(files, entries, again=again, first=first) == files.id
    return list(files.parts)


def claim_and_mark(bench: Bench) -> Claimed:
    """Start the next upload."""
    [claimed] = bench.claim()
    assert bench.ledger.mark(claimed) == (1, 0)
    return claimed


def next_starts(bench: Bench, parts: int) -> list[str]:
    """Start one upload in each of the next slots, and deliver them."""
    order = []
    for _ in range(parts):
        claimed = claim_and_mark(bench)
        bench.settle(claimed)
        order.append(claimed.id)
        bench.clock.go(SLOT_MS)
    return order


def look(bench: Bench, job_id: str, outcome: Transition) -> None:
    """Claim a file that is due for a status lookup, and settle it."""
    bench.tick(SOON)
    claimed = next(one for one in bench.claim() if one.id == job_id)
    assert claimed.phase
    assert bench.settle(claimed, outcome, counted=False)


def stored_bytes(bench: Bench) -> int:
    return int(bench.client.get(PREFIX + "content_bytes") or 0)
