"""Write a ledger of the largest size straight into Redis. `script_times.py` runs every script over it.

The ledger is consistent, as if gaugepost had written it (`tests/support/ledger_truth.py` checks that). It has jobs of
many sources, case lanes, jobs that are all due at one moment, holds whose probes are all due, expired leases,
deadlines, and ended jobs. A second region has jobs of 900 kB.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from gaugepost.jobs import CloseLoop, JobBase, Record
from gaugepost.keys import Keys
from gaugepost.ledger.webhook_records import MOST_ENDPOINTS, Endpoint
from gaugepost.regions import Region

LARGE_BYTES = 900_000
CONFIGURATION = "orders"
PROBE_MS = (300_000, 1_800_000, 7_200_000)

_STEP = 5_000


@dataclass(frozen=True)
class Sizes:
    """How many of each to write. The defaults are the most that a region must handle."""

    jobs: int = 1_000_000
    """Queued jobs of all sources."""
    sources: int = 50_000
    lanes: int = 100_000
    """Cases: one job of each is ready, and one waits behind it."""
    due: int = 100_000
    """Parked jobs whose time has come."""
    holds: int = 10_000
    """Configurations on hold, each with one parked job; all probes are due."""
    leases: int = 20_000
    """Jobs of lost workers."""
    expired: int = 100_000
    """Queued jobs whose `expires_at` has passed."""
    delivered: int = 100_000
    """Delivered jobs whose retention is over."""
    large: int = 300
    """Jobs of 900 kB: this many queued, as many queued under a hold, as many of lost workers."""

    def scaled(self, by: float) -> Sizes:
        """Return all sizes multiplied by `by`, each at least 1."""
        return replace(self, **{name: max(1, int(number * by)) for name, number in vars(self).items()})


_FILL = """
local prefix, base, first, n, now = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local facts, places = cjson.decode(ARGV[5]), cjson.decode(ARGV[6])
local function fill(text, i) return (string.gsub(text, '<(%l+)>', {
  i = string.format('%.0f', i), source = 's' .. i % tonumber(ARGV[7]), now = string.format('%.0f', now),
  at = string.format('%.0f', base + i), id = string.format('%s%026d', ARGV[8], i),
})) end
for i = first, first + n - 1 do
  local id = fill('<id>', i)
  local hash = {}
  for name, value in pairs(facts) do hash[#hash + 1] = name; hash[#hash + 1] = fill(value, i) end
  redis.call('HSET', prefix .. 'job:' .. id, unpack(hash))
  for key, score in pairs(places) do
    key = prefix .. fill(key, i)
    if score == '' then redis.call('RPUSH', key, id) else redis.call('ZADD', key, fill(score, i), id) end
  end
end
return n
"""
_TURNS = """
for i = 1, tonumber(ARGV[1]) do redis.call('RPUSH', KEYS[1], 's' .. i - 1) end
"""


class Heavy:
    """Fills one region by its own scripts."""

    def __init__(self, client: Any, region: Region) -> None:
        self._client = client
        self._region = region
        self._keys = Keys(region)
        self._fill = client.register_script(_FILL)
        seconds, micros = client.time()
        self._now = seconds * 1000 + micros // 1000
        self._base = (self._now - 3_600_000) * 1000
        self._sorts = 0
        self._sources = 1

    def put(self, number: int, job: JobBase, state: str, places: dict[str, str], **facts: str) -> None:
        """Write `number` jobs. The script replaces `<i>`, `<at>`, `<id>`, `<now>` and `<source>` in all texts."""
        self._sorts += 1
        text = job.to_json()
        fields = {"job": text, "state": state, "at": "<at>", **_about(job), **facts}
        mark = f"{self._region}{self._sorts:04d}"
        step = max(1, min(_STEP, 20_000_000 // len(text)))
        for first in range(0, number, step):
            n = min(step, number - first)
            base = self._base + self._sorts * 10_000_000
            args = [base, first, n, self._now, json.dumps(fields), json.dumps(places), self._sources, mark]
            self._fill(keys=[self._keys.prefix], args=args)
        self._count(state, number)

    def turns(self, sources: int) -> None:
        """Add `sources` sources (`s0`, `s1` …) to the rotation."""
        self._sources = sources
        self._client.eval(_TURNS, 1, self._keys["turns"], sources)

    def _hold(self, scope: str) -> None:
        hold = {"reason": "closed", "by": "bench", "since": self._now}
        self._client.hset(self._keys["holds"], scope, json.dumps(hold))

    def mapping_holds(self, number: int) -> None:
        """Open `number` holds, each with a due probe."""
        hold = {"reason": "unknown_mapping", "verdict": "unknown_mapping", "by": "gaugepost", "since": self._now}
        text = json.dumps(hold | {"probe_ms": PROBE_MS, "step": 1, "probe_at": self._now, "give_up_ms": 172_800_000})
        for first in range(0, number, _STEP):
            scopes = range(first, min(first + _STEP, number))
            self._client.hset(self._keys["holds"], mapping={f"configuration:m{i}": text for i in scopes})

    def endpoints(self) -> None:
        """Add as many endpoints of webhooks as a region may have. They want all events."""
        url = "https://receiver.example/"
        found = [Endpoint(f"wh-{n:012x}", url, regions=(self._region,)) for n in range(MOST_ENDPOINTS)]
        self._client.hset(self._keys["webhooks"], mapping={one.id: one.to_json() for one in found})

    def _count(self, name: str, number: int) -> None:
        self._client.hincrby(self._keys["counts"], name, number)

    def fill(self, sizes: Sizes) -> None:
        """Write all jobs except the large ones."""
        self.turns(sizes.sources)
        self.endpoints()
        ready = {"ready:<source>": ""}
        self.put(sizes.expired, record(), "queued", ready | {"deadlines": "<now>"}, expires="<now>")
        self.put(sizes.jobs - sizes.expired, record(), "queued", ready)
        lane = {"lane:case:<i>": "<at>"}
        case = CloseLoop.model_validate({"region": self._region, "number_customergauge": 1, "status": "open"})
        self.put(sizes.lanes, case, "queued", ready | lane, lane="case:<i>")
        self.put(sizes.lanes, case, "waiting", {"waiting": "<at>"} | lane, lane="case:<i>")
        self.put(sizes.due, record(), "parked", {"parked": "<now>"}, reason="server_error", until="<now>")
        self._count("parked:server_error", sizes.due)
        self.mapping_holds(sizes.holds)
        held = record(configuration="m<i>")
        self.put(sizes.holds, held, "parked", {"held:configuration:m<i>": "<at>"},
                 reason="unknown_mapping", scope="configuration:m<i>", **_about(held))  # fmt: skip
        self._count("parked:unknown_mapping", sizes.holds)
        self.put(sizes.leases, record(), "sending", {"leases": "<now>"}, fence="1", holder="lost")
        self.put(sizes.delivered, record(), "delivered", {"delivered": "1"}, ended="1")

    def fill_large(self, number: int) -> None:
        """Write the jobs of 900 kB: first held ones, then free ones, then those of lost workers."""
        self.endpoints()
        self.turns(1)
        data = {f"Comment {n}": "x" * 9_000 for n in range(LARGE_BYTES // 9_000)}
        held, free = (record(self._region, configuration=name, record=data) for name in ("large", CONFIGURATION))
        self._hold("configuration:large")
        self.put(number, held, "queued", {"ready:s0": ""})
        self.put(number, free, "queued", {"ready:s0": ""})
        self.put(number, free, "sending", {"leases": "<now>"}, fence="1", holder="lost")


def record(region: Region = Region.EU, **more: Any) -> Record:
    fields = {"region": region, "configuration": CONFIGURATION, "record": {"Email": "joe.doe@example.com"}}
    return Record.model_validate(fields | more)


def _about(job: JobBase) -> dict[str, str]:
    return {"about": f"{job.kind} {job.mapping}" if job.mapping else job.kind}
