"""Check the index of `find` against the jobs: each job has one entry, and each reference is where it belongs."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.ledger_truth import Truth

_HASH, _STAMP = 11, 7
_LONGEST = 300


def check_index(truth: Truth) -> None:
    """Add the contradictions between the index and the jobs to `truth.faults`."""
    expected, ids = _expected(truth)
    truth.faults += [f"{job_id} is in the index and has no record" for job_id in ids - truth.jobs.keys()]
    arriving = {entry[2 * _STAMP : 2 * (_STAMP + 16)] for entry in truth.lists.get("arrivals", ())}
    if arriving or "indexing" in truth.hashes:  # else no process of this version has written to the ledger
        truth.faults += [f"{job_id} is not in the index" for job_id in truth.jobs.keys() - ids - arriving]
    stored = _stored(truth)
    for name in expected | stored:
        if expected[name] != stored[name]:
            truth.faults.append(f"index: {name} has {dict(stored[name])}, expected {dict(expected[name])}")
    counted = int(truth.hashes.get("indexing", {}).get("indexed", 0))
    if counted != len(ids):
        truth.faults.append(f"the index has {len(ids)} jobs, its count is {counted}")
    _check_chunks(truth)


def _expected(truth: Truth) -> tuple[defaultdict[str, Counter[str]], set[str]]:
    """Return what the entries of all jobs say: name of a key, or of all sets of a reference → its members."""
    expected: defaultdict[str, Counter[str]] = defaultdict(Counter)
    ids = set()
    for name, entries in truth.hashes.items():
        family, _, digits = name.partition(":")
        for rest, value in entries.items() if family == "ids" else ():
            job_id, text = digits + rest, bytes.fromhex(value)
            ids.add(job_id)
            stamp, hashes = int.from_bytes(text[:_STAMP], "big"), text[_STAMP:].decode()
            job = truth.jobs.get(job_id, {"at": str(stamp)})
            if str(stamp) != job.get("enqueued", job["at"]):
                truth.faults.append(f"{job_id} has another stamp in the index")
            key, others = ("", hashes[1:]) if hashes[0] == "." else (hashes[:_HASH], hashes[_HASH:])
            if key:
                expected[f"keyed:{key[:2]}"][key[2:].encode().hex() + job_id] += 1
            for start in range(0, len(others), _HASH):
                expected[f"ref:{others[start : start + _HASH]}"][text[:_STAMP].hex() + job_id] += 1
    return expected, ids


def _stored(truth: Truth) -> defaultdict[str, Counter[str]]:
    stored: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, entries in truth.lists.items():
        if name.startswith(("keyed:", "ref:")):
            stored[name.partition(".")[0]].update(entries)
    return stored


def _check_chunks(truth: Truth) -> None:
    """Check that renamed lists are listed, that each is short and in order, and that their stamps do not overlap."""
    spans: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for name, entries in truth.lists.items():
        if not name.startswith("ref:"):
            continue
        digest, _, first = name.removeprefix("ref:").partition(".")
        stamps = [int(entry[: 2 * _STAMP], 16) for entry in entries]
        spans[digest].append((stamps[0], stamps[-1]))
        if stamps != sorted(stamps) or len(stamps) > _LONGEST:
            truth.faults.append(f"{name} has {len(stamps)} jobs in the order {stamps}")
        if first and first not in truth.sets.get(f"ref_chunks:{digest}", {}):
            truth.faults.append(f"{name} is not listed")
    for name, members in truth.sets.items():
        if name.startswith("ref_chunks:"):
            digest = name.removeprefix("ref_chunks:")
            truth.faults += [f"{digest}.{one} is empty" for one in members if f"ref:{digest}.{one}" not in truth.lists]
    for digest, found in spans.items():
        found.sort()
        if any(end > start for (_, end), (start, _) in pairwise(found)):
            truth.faults.append(f"the lists of {digest} overlap")
