"""Every Redis key of gaugepost, with its type: the only place that spells one.

All keys of a region begin with the namespace and the hash tag `{region}`. The Lua scripts get their names from here
(`lua_table`), and the runbook's key table is made from `FIXED` and `FAMILIES`.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gaugepost.regions import Region

NAMESPACE = "gaugepost"
"""The default. Its ledgers may lie under the names that versions without namespaces gave them: `Keys.older`."""

SCHEMA = 1
"""What this version makes of a ledger. Raised only where older processes would do harm in it: `docs/upgrades.md`."""

FIXED: dict[str, tuple[str, str]] = {
    "schema": ("string", "what its newest worker knew; who knows less leaves it alone; `moved …`: the region has"),
    "stamp": ("string", "the last enqueue stamp given, µs: strictly rising, so it is both time and order"),
    "turns": ("list", "sources that have ready jobs; the first one's turn it is"),
    "urgent_turns": ("list", "the same for urgent ones"),
    "again": ("sorted set by stamp", "queued jobs that come again: promoted, released, replayed …; urgent ones first"),
    "waiting": ("sorted set by stamp", "jobs behind another of their lane, and files without a slot"),
    "files": ("sorted set by stamp", "the upload lane: files waiting for a slot"),
    "leases": ("sorted set by end of lease, ms", "jobs being sent"),
    "parked": ("sorted set by due time, ms", "jobs that wait for a time"),
    "unknown": ("sorted set by time, ms", "jobs whose answer was lost and that must not go out twice"),
    "delivered": ("sorted set by time, ms", "ended jobs, until their retention is over"),
    "dead": ("sorted set by time, ms", "ended jobs, until their retention is over"),
    "cancelled": ("sorted set by time, ms", "ended jobs, until their retention is over"),
    "expired": ("sorted set by time, ms", "ended jobs, until their retention is over"),
    "deadlines": ("sorted set by time, ms", "jobs that expire, or give up waiting for a mapping"),
    "holds": ("hash scope → JSON", "stop signs; scope '' is the whole region"),
    "releasing": ("set of scopes", "lifted holds whose jobs are still being let go, paced"),
    "notices": (
        "list of JSON",
        "what the next tick's worker logs: holds that opened, moved on or ended, jobs that gave up",
    ),
    "cold": ("hash", "configurations whose first job has no answer yet: the others wait aside, as of source `~…`"),
    "counts": ("hash", "jobs by state, parked ones by reason, dead ones by verdict"),
    "failures": ("hash name → JSON", "failures in a row: how many, when the last was known, of which jobs and sorts"),
    "workers": ("hash", "a worker → how many it sends at a time, and until when that counts, ms"),
    "alive": ("sorted set by time, ms", "worker processes, by when each was last seen; dropped an hour later"),
    "concurrency": ("hash", "after a throttling: how many jobs may be out at a time, until it has grown back"),
    "pace": (
        "hash",
        (
            "of ticks: when they released jobs, saw the clock and saw it skip, when beat sent one (`beat_sent`) and "
            "when a worker ran one itself (`own:…`), ms; where they continue"
        ),
    ),
    "slot": ("string", "when the last upload of the lane started, ms"),
    "contents": ("sorted set by time, ms", "stored contents, by since when they are needed no more"),
    "content_bytes": ("string", "bytes that all stored contents take"),
    "configurations": ("sorted set by day", "inbound mappings that jobs had lately; kept if MAPPINGS is set"),
    "sets": ("sorted set by time, ms", "file sets, by when they were enqueued"),
    "filing": ("string", "the file claimed last: no other is claimed until it has taken the slot, or is back"),
    "token": ("hash", "the shared access token, encrypted, its generation and age, or why it could not be had"),
    "token_lock": ("string", "who is fetching a token"),
    "credentials": (
        "hash",
        "need and fingerprint of a credential → `accepted` or `refused`, and until when that counts, ms",
    ),
}

FAMILIES: dict[str, tuple[str, str]] = {
    "job:": (
        "hash",
        "one job: `job` (JSON), `about` (kind, configuration), `state`, `at`, …; sealed if DATA_KEY is set",
    ),
    "content:": ("string", "a file's content, zlib-compressed, sealed by DATA_KEY"),
    "ready:": ("list", "a source's queued jobs, oldest first; may hold ids that were cancelled meanwhile"),
    "urgent:": ("list", "a source's queued urgent jobs, claimed before all others"),
    "claim:": ("string, JSON", "a worker's last claim, for one lease: a repeated call gives the same jobs"),
    "idem:": ("string", "hash of an idempotency key → job id (and its last state, once it is swept), for 7 days"),
    "idem_content:": (
        "string",
        "hash of what an idempotency key's job sends, keyed by DATA_KEY if set; for 7 days",
    ),
    "set:": ("string, JSON", "one file set: the ids of its parts, and what it was made from; sealed by DATA_KEY"),
    "undo:": ("string, JSON", "who undid a file set, when, and the jobs that delete its uploads; for 100 days"),
    "fields:": ("sorted set by day", "the fields that jobs of one configuration had, at most 500, for 30 days"),
    "digest:": ("string", "hash of a file's content and family → its set, for 30 days"),
    "warm:": ("string", "a configuration that delivered within the last hour"),
    "happened:": ("string", "the latest `happened_at` that was delivered of one case, for 30 days"),
    "lane:": ("sorted set by stamp", "the unfinished jobs of one case; one of them is not waiting"),
    "held:": ("sorted set by stamp", "jobs parked by the hold of one scope"),
}


_OLDER = "gp"


class Keys:
    """The keys and queues of one region in one namespace."""

    def __init__(self, region: Region, namespace: str = NAMESPACE) -> None:
        self.region = region
        self.namespace = namespace
        self.prefix = f"{namespace}:{{{region}}}:"
        self.queue = f"{namespace}.{region}"
        """Celery queue of the bells."""
        self.urgent_queue = f"{self.queue}.urgent"
        self.tick_queue = f"{self.queue}.ticks"
        self.control_exchange = namespace
        """Celery's exchange of Flower's questions to workers, `<this>.pidbox`: of all regions of the namespace."""
        self.event_exchange = f"{namespace}.events"

    @property
    def queues(self) -> tuple[str, str, str]:
        """The Celery queues of the region."""
        return self.urgent_queue, self.queue, self.tick_queue

    def older(self) -> Keys | None:
        """Return the keys as versions without namespaces named them; None for all namespaces but the default."""
        return Keys(self.region, _OLDER) if self.namespace == NAMESPACE else None

    @property
    def older_queues(self) -> tuple[str, str, str]:
        """The Celery queues of the region in versions without namespaces."""
        return f"{self.region}.urgent", str(self.region), f"{self.region}.ticks"

    def __getitem__(self, name: str) -> str:
        """Return the key of this name, e.g. `keys["ready"]`. Raises KeyError for a name not listed above."""
        FIXED[name]
        return self.prefix + name

    def of(self, family: str, member: str) -> str:
        """Return one key of a family, e.g. `keys.of("job:", job_id)`."""
        FAMILIES[family]
        return self.prefix + family + member


def older(prefix: str) -> str:
    """Return a prefix as versions without namespaces have it."""
    return re.sub(f"^{NAMESPACE}:", f"{_OLDER}:", prefix)


def idempotency_digest(key: str) -> str:
    """Hash an idempotency key: bounded in length, and no personal data in a key's name."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


def lua_table() -> str:
    """Write the names for the scripts: `K.turns`, `F.job .. id`, and `PREFIX` that all of them begin with.

    PREFIX is KEYS[1], unless the ledger has `older()`, its name without a namespace (lib/base.lua). A key is put
    together when it is asked for: a script needs few of them, and all of this runs at each call. That each name is one
    of the above is for a test to see (`tests/architecture/test_lua.py`).
    """
    older_prefix = f"local function older() return (string.gsub(KEYS[1], '^{NAMESPACE}:', '{_OLDER}:')) end"
    return f"local PREFIX = KEYS[1]\n{older_prefix}\n{_names('K', '')}\n{_names('F', ':')}"


def _names(table: str, end: str) -> str:
    index = f"function(known, name) local key = PREFIX .. name .. '{end}' rawset(known, name, key) return key end"
    return f"local {table} = setmetatable({{}}, {{__index = {index}}})"
