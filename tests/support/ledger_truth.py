"""Read every key of a region and list contradictions: each job must be in exactly one place, and counts correct."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gaugepost.keys import FAMILIES, FIXED
from support.batch_truth import check_batches
from support.index_truth import check_index

if TYPE_CHECKING:
    import redis

_DUMP = """
local all = {}
local function hex(text)
  return (string.gsub(text, '.', function(byte) return string.format('%02x', string.byte(byte)) end))
end
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local value = ''
  if kind == 'hash' then value = redis.call('HGETALL', key)
  elseif kind == 'list' then value = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'string' and string.find(key, ':content:', 1, true) then
    value = {redis.call('STRLEN', key), redis.call('PTTL', key)}
  elseif kind == 'string' and string.find(key, ':content_bytes', 1, true) then value = redis.call('GET', key)
  elseif kind == 'set' then value = redis.call('SMEMBERS', key)
  elseif kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end
  local family = string.match(key, '}:([%l_]+)')
  if family == 'ids' or family == 'keyed' or family == 'ref' or family == 'arrivals' then
    for i, text in ipairs(value) do value[i] = hex(text) end
  end
  all[#all + 1] = {key, kind, value}
end
return cjson.encode(all)
"""
_ENDED = ("delivered", "dead", "cancelled", "expired", "unknown")


def _pairs(flat: Any) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True)) if flat else {}


@dataclass
class Truth:
    """The content of Redis, and its faults."""

    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    sets: dict[str, dict[str, float]] = field(default_factory=dict)
    hashes: dict[str, dict[str, str]] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def state(self, job_id: str) -> str | None:
        return self.jobs[job_id]["state"] if job_id in self.jobs else None

    def lanes(self) -> dict[str, dict[str, float]]:
        return {name.removeprefix("lane:"): members for name, members in self.sets.items() if name.startswith("lane:")}


def look(client: redis.Redis, region: str = "eu") -> Truth:
    """Read and check all keys in one transaction."""
    truth, prefix = Truth(), f"gaugepost:{{{region}}}:"
    for key, kind, value in json.loads(client.eval(_DUMP, 0)):
        if not key.startswith(prefix):
            of_queues = key.startswith(("_kombu", f"gaugepost.{region}"))
            if not of_queues and key != f"gp:{{{region}}}:schema":  # by which older versions refuse it
                truth.faults.append(f"a key without the region's hash tag: {key}")
            continue
        name = key.removeprefix(prefix)
        if name.startswith("job:"):
            truth.jobs[name.removeprefix("job:")] = _pairs(value)
        elif kind == "list":
            truth.lists[name] = list(value)
        elif kind == "zset":
            truth.sets[name] = {member: float(score) for member, score in _pairs(value).items()}
        elif kind == "hash":
            truth.hashes[name] = _pairs(value)
        elif kind == "string" and name.startswith("content:"):
            truth.other[name] = value
        else:
            truth.other[name] = value
        family = name.split(":")[0] + ":"
        own = name.split(":")[0] in {"files", "slot", "filing"}  # of one family's lane
        if name not in FIXED and family not in FAMILIES and not own and name != "test-clock":
            truth.faults.append(f"a key that keys.py does not list: {name}")
    check_index(truth)
    check_batches(truth)
    _check_places(truth)
    _check_lanes(truth)
    _check_counts(truth)
    _check_contents(truth)
    return truth


def _is_file(job: dict[str, str]) -> bool:
    """Return whether a job is a file: its lane is `files` or `files:<family>`."""
    return job.get("lane", "").split(":")[0] == "files"


def _should_be(job: dict[str, str]) -> set[str]:
    state = job["state"]
    if state == "sending":
        return {"leases"}
    if state == "waiting":
        return {"waiting", job["lane"]} if _is_file(job) else {"waiting"}
    if state == "parked":
        own = "scheduled" if job["reason"] == "scheduled" else "parked"
        return {f"held:{job['scope']}"} if "scope" in job else {own}
    return {state}


def _check_places(truth: Truth) -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for name, members in truth.sets.items():
        apart = {"deadlines", "contents", "sets", "configurations", "alive", "operations", "open_operations", "batches"}
        if name not in apart and not name.startswith(
            ("lane:", "fields:", "todo:", "ref_chunks:", "outbox:", "given_up:")
        ):
            for member in members:
                places[member.rpartition(":")[2]].append(name)  # of `scheduled`: stamp:id
            _check_scores(truth, name)
    _check_turns(truth)
    for name, ids in truth.lists.items():
        for job_id in ids if name.startswith(("ready:", "urgent:")) else ():
            if truth.state(job_id) == "queued":
                places[job_id].append(name)
            elif truth.state(job_id) not in {"cancelled", "expired", None}:
                truth.faults.append(f"{job_id} is {truth.state(job_id)} and is in {name}")
    for job_id, job in truth.jobs.items():
        _check_place(truth, job_id, job, places.pop(job_id, []))
    truth.faults += [f"{job_id} is in {found} and has no record" for job_id, found in places.items()]


def _check_turns(truth: Truth) -> None:
    """Check that each source with ready jobs has one turn, except jobs that wait for a first answer."""
    marks = truth.hashes.get("cold", {}).items()
    aside = {f"~{configuration}" for configuration, mark in marks if not mark.startswith("-1:")}
    for turns, line in (("turns", "ready:"), ("urgent_turns", "urgent:")):
        listed = sorted(truth.lists.get(turns, ()))
        there = sorted({name.removeprefix(line) for name in truth.lists if name.startswith(line)} - aside)
        if listed != there:
            truth.faults.append(f"{turns} are {listed}, but the lists are of {there}")


def _check_scores(truth: Truth, name: str) -> None:
    """Check the sets ordered by stamp. Retried urgent jobs come before all others."""
    if name not in {"again", "waiting"} and not name.startswith(("held:", "files")):
        return
    for job_id, score in truth.sets[name].items():
        job = truth.jobs.get(job_id, {"at": "0"})
        before_all = (name == "again" and "urgent" in job) or (name.startswith("files") and "first" in job)
        if score != float(job["at"]) - (1e16 if before_all else 0):
            truth.faults.append(f"{job_id} has a wrong score in {name}")


def _check_place(truth: Truth, job_id: str, job: dict[str, str], found: list[str]) -> None:
    queued = len(found) == 1 and found[0].split(":")[0] in {"ready", "urgent", "again"}
    if not (queued if job["state"] == "queued" else sorted(found) == sorted(_should_be(job))):
        truth.faults.append(f"{job_id} is {job['state']} and is in {found}")
    known_scopes = {*truth.hashes.get("holds", {}), *truth.other.get("releasing", ())}
    if "scope" in job and job["scope"] not in known_scopes:
        truth.faults.append(f"{job_id} is held by {job['scope']}, and nothing will release it")


def _check_lanes(truth: Truth) -> None:
    members = {job_id for lane in truth.lanes().values() for job_id in lane}
    for job_id, job in truth.jobs.items():
        unfinished = job["state"] not in set(_ENDED) - {"unknown"}
        if "lane" in job and not _is_file(job) and unfinished != (job_id in members):
            truth.faults.append(f"{job_id} is {job['state']}: in its lane {job_id in members}")
    for lane, ids in truth.lanes().items():
        scheduled = {job_id for job_id in ids if _is_scheduled(truth, job_id)}
        active = [job_id for job_id in ids if truth.state(job_id) != "waiting" and job_id not in scheduled]
        may_rest = min(ids, key=ids.__getitem__) in scheduled
        if len(active) != 1 and not (may_rest and not active):
            truth.faults.append(f"lane {lane}: {len(active)} jobs are not waiting")


def _is_scheduled(truth: Truth, job_id: str) -> bool:
    return truth.jobs.get(job_id, {}).get("reason") == "scheduled"


def _check_counts(truth: Truth) -> None:
    counts: Counter[str] = Counter(job["state"] for job in truth.jobs.values())
    counts.update(f"parked:{job['reason']}" for job in truth.jobs.values() if job["state"] == "parked")
    counts.update(f"dead:{job['verdict']}" for job in truth.jobs.values() if job["state"] == "dead")
    stored_counts = {name: int(number) for name, number in truth.hashes.get("counts", {}).items()}
    if stored_counts != dict(counts):
        truth.faults.append(f"counts are {stored_counts}, the jobs are {dict(counts)}")


def _check_contents(truth: Truth) -> None:
    kept = {name.removeprefix("content:"): v for name, v in truth.other.items() if name.startswith("content:")}
    stored = {job_id for job_id, (_, life) in kept.items() if life < 0}  # the others are staged
    counted, taken = int(truth.other.get("content_bytes") or 0), sum(kept[job_id][0] for job_id in stored)
    if counted != taken:
        truth.faults.append(f"contents take {taken} bytes, their count is {counted}")
    listed = set(truth.sets.get("contents", {}))
    if stored != listed:
        truth.faults.append(f"contents stored {stored}, listed {listed}")
    for job_id, job in truth.jobs.items():
        if "phase" in job and job["state"] in {"waiting", "cancelled", "expired"}:
            truth.faults.append(f"{job_id} was sent and is {job['state']}")
        needed = _is_file(job) and job["state"] not in {"delivered", "cancelled", "expired"}
        if needed and truth.sets["contents"].get(job_id) != float("inf"):
            truth.faults.append(f"{job_id} is {job['state']} and its content is not kept")
