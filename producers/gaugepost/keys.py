"""All Redis keys of gaugepost, with their types. No other file spells a key.

All keys of a region begin with the namespace and the hash tag `{region}`. `lua_table` passes the names to the Lua
scripts, and `make docs` writes ops/runbooks/keys.md from `FIXED` and `FAMILIES`.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gaugepost.regions import Region

NAMESPACE = "gaugepost"
"""The default namespace. Its ledgers may still have the names of versions without namespaces: `Keys.older`."""

SCHEMA = 1
"""The version of the ledger's format. It rises only when older processes would do harm: see docs/upgrades.md."""

FIXED: dict[str, tuple[str, str]] = {
    "schema": ("string", "schema of its newest worker; processes with an older one refuse it; `moved …`: it was moved"),
    "stamp": ("string", "the last enqueue stamp, µs: strictly increasing, so it is both time and order"),
    "turns": ("list", "sources with ready jobs, in the order of their turns"),
    "urgent_turns": ("list", "sources with ready urgent jobs, in the order of their turns"),
    "again": ("sorted set by stamp", "requeued jobs: promoted, released, replayed …; urgent ones first"),
    "waiting": ("sorted set by stamp", "jobs behind another job of their lane, and files that wait for a slot"),
    "files": ("sorted set by stamp", "the upload lane: files that wait for a slot"),
    "leases": ("sorted set by end of lease, ms", "jobs that are being sent"),
    "parked": ("sorted set by due time, ms", "jobs that wait for a time"),
    "scheduled": ("sorted set of `stamp:id` by time, ms", "jobs that wait for their deliver_at"),
    "unknown": ("sorted set by time, ms", "jobs whose answer was lost and that must not be sent twice"),
    "delivered": ("sorted set by time, ms", "ended jobs, until their retention is over"),
    "dead": ("sorted set by time, ms", "ended jobs, until their retention is over"),
    "cancelled": ("sorted set by time, ms", "ended jobs, until their retention is over"),
    "expired": ("sorted set by time, ms", "ended jobs, until their retention is over"),
    "deadlines": ("sorted set by time, ms", "jobs that will expire, or give up waiting for a mapping"),
    "holds": ("hash scope → JSON", "holds; scope '' is the whole region"),
    "releasing": ("set of scopes", "lifted holds whose jobs are still being released"),
    "notices": (
        "list of JSON",
        "notices for the log of the worker of the next tick: changes of holds, jobs that gave up",
    ),
    "cold": ("hash", "configurations whose first job has no answer yet; their other jobs are put aside (source `~…`)"),
    "counts": ("hash", "jobs by state, parked ones by reason, dead ones by verdict"),
    "failures": ("hash name → JSON", "failures in a row: number, time of the last one, their jobs and sorts"),
    "arrivals": ("list", "jobs and references that no worker has brought into the index of `find` yet"),
    "indexing": (
        "hash",
        "how many jobs the index of `find` has; where workers look for jobs that it lacks",
    ),
    "workers": ("hash", "worker → how many jobs it sends at a time, and until when that counts, ms"),
    "alive": ("sorted set by time, ms", "worker processes, by when each was last seen; deleted an hour later"),
    "concurrency": ("hash", "after a throttling: how many jobs may be sent at a time"),
    "pace": (
        "hash",
        (
            "times of the ticks, ms: when they released jobs, read the clock and found that it stepped, when beat sent "
            "one (`beat_sent`), when a worker ran one itself (`own:…`); and where they continue"
        ),
    ),
    "slot": ("string", "when the last upload of the lane started, ms"),
    "contents": ("sorted set by time, ms", "stored contents, by the time since when they are no longer needed"),
    "content_bytes": ("string", "bytes of all stored contents"),
    "configurations": ("sorted set by day", "inbound mappings of recent jobs, if MAPPINGS is set"),
    "batches": ("sorted set by time, ms", "batches, by when a job of them last changed"),
    "canaries": ("set", "batches whose canary is not decided"),
    "erasing": ("set", "jobs whose data is removed when they have been sent: `gaugepost erase`"),
    "sets": ("sorted set by time, ms", "file sets, by when they were enqueued"),
    "operations": ("sorted set by start, ms", "operations of the last 100 days"),
    "open_operations": ("sorted set by start, ms", "operations that have not ended"),
    "filing": ("string", "the file claimed last; no other file is claimed until it has taken the slot or is returned"),
    "token": ("hash", "the shared access token, encrypted; its generation and age; or why the fetch failed"),
    "token_lock": ("string", "the worker that fetches a token"),
    "audit": ("stream", "the audit trail: who did what; entries are deleted by their age (RETENTION_AUDIT)"),
    "api_keys": ("hash name → JSON", "keys of the gateway: scopes, source, rate …, and the hash of the secret"),
    "api_key_uses": ("hash name → ms", "when the gateway last saw each of its keys, at most a minute late"),
    "console_users": ("hash name → JSON", "users of the console: role, who added each, and the hash of the password"),
    "webhooks": ("hash id → JSON", "endpoints of webhooks: URL, events, source …; why and when one was disabled"),
    "webhook_secrets": ("hash id → JSON", "secrets that sign webhooks, encrypted if DATA_KEY is set; until when each"),
    "history_minutes": (
        "list of JSON",
        "the last 75 minutes, newest first: jobs delivered, dead and waiting, latency; for 2 days without workers",
    ),
    "history_quarters": ("list of JSON", "the same of the last 96 quarters of an hour"),
    "gateway": ("string", "when a gateway last tried whether Redis accepts writes, ms"),
    "credentials": (
        "hash",
        "need and fingerprint of a credential → `accepted` or `refused`, and until when that counts, ms",
    ),
}

FAMILIES: dict[str, tuple[str, str]] = {
    "job:": (
        "hash",
        "one job: `job` (JSON), `about` (kind, configuration), `state`, `at`, …; encrypted if DATA_KEY is set",
    ),
    "content:": ("string", "a file's content, zlib-compressed, encrypted if DATA_KEY is set"),
    "ready:": ("list", "a source's queued jobs, oldest first; may have ids of cancelled jobs"),
    "urgent:": ("list", "a source's queued urgent jobs, which are claimed before all others"),
    "claim:": ("string, JSON", "a worker's last claim, for one lease: a repeated call returns the same jobs"),
    "idem:": ("string", "hash of an idempotency key → job id (and its last state, once it is deleted), for 7 days"),
    "idem_content:": (
        "string",
        "hash of the content of an idempotency key's job, keyed by DATA_KEY if set; for 7 days",
    ),
    "ids:": (
        "hash",
        "index of `find`: the first 4 digits of ids → the rest of an id; the job's stamp and hashes of its references",
    ),
    "keyed:": ("list", "index of `find`: hashes of idempotency keys, each with a job's id; for as long as the job"),
    "ref:": (
        "list",
        "index of `find`: hash of an address, a label …, keyed by DATA_KEY if set → stamps and ids of some 100 jobs",
    ),
    "ref_chunks:": ("sorted set by stamp", "where a `ref:…` of more jobs continues: `ref:….<stamp>`"),
    "set:": ("string, JSON", "one file set: its file and the ids of its parts; encrypted if DATA_KEY is set"),
    "parts:": ("set", "parts of one file set that have not ended; for 100 days"),
    "undo:": ("string, JSON", "who undid a file set, when, and the jobs that delete its uploads; for 100 days"),
    "fields:": ("sorted set by day", "the fields that jobs of one configuration had, at most 500, for 30 days"),
    "digest:": ("string", "hash of a file's content and family → its set, for 30 days"),
    "warm:": ("string", "a configuration with a delivery within the last hour"),
    "happened:": ("string", "the latest delivered `happened_at` of one case, for 30 days"),
    "batch:": (
        "hash",
        "one batch: its jobs by state and verdict, warnings, its canary; until its last job is deleted",
    ),
    "canary:": ("hash", "the first jobs of a batch with a canary → how each ended (empty: it has not)"),
    "operation:": (
        "hash",
        "one operation: its action, filter (JSON), state, counts, where it continues, its edits; for 100 days",
    ),
    "todo:": (
        "sorted set by stamp",
        "jobs that an operation will change; ` id` behind one: an earlier operation has it",
    ),
    "api_rate:": ("string", "hash of a gateway's key with a rate → the time, ms, that its requests have used up"),
    "front_token:": (
        "string",
        "hash of an access token of the drop-in front → hash of the gateway's key to which it belongs; for an hour",
    ),
    "session:": (
        "hash",
        "hash of a session's id of the console → name and its hash, role by a provider, when it ends, ms",
    ),
    "signed_out:": (
        "string",
        "hash of a name → when all sessions and links of this person in the console ended, ms; for 7 days",
    ),
    "sign_in_tries:": ("hash", "hash of a name or an address → attempts to sign in that failed, for 15 minutes"),
    "sign_in_link:": (
        "string",
        "hash of a one-time link → when it ends and was made, ms; name of the user and its hash",
    ),
    "untried:": (
        "list of JSON",
        "events for one endpoint of webhooks that no worker has taken: type, job, state and verdict, no data of jobs",
    ),
    "outbox:": ("sorted set by due time, ms", "events for one endpoint that a worker has taken and not delivered"),
    "events:": ("hash id → JSON", "these events, and those that were given up"),
    "given_up:": ("sorted set by time, ms", "events that an endpoint has refused for 3 days; for 30 days"),
    "webhook:": (
        "hash",
        "one endpoint: its newest event, events sent and dropped, since when it fails, its last error",
    ),
    "lane:": ("sorted set by stamp", "the open jobs of one case; all but one are waiting"),
    "held:": ("sorted set by stamp", "jobs that the hold of one scope has parked"),
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
        """Celery's exchange for remote control, `<this>.pidbox`, of all regions of the namespace."""
        self.event_exchange = f"{namespace}.events"

    @property
    def queues(self) -> tuple[str, str, str]:
        """The Celery queues of the region."""
        return self.urgent_queue, self.queue, self.tick_queue

    def older(self) -> Keys | None:
        """Return the keys by their names in versions without namespaces; None unless this is the default namespace."""
        return Keys(self.region, _OLDER) if self.namespace == NAMESPACE else None

    @property
    def older_queues(self) -> tuple[str, str, str]:
        """The Celery queues of the region in versions without namespaces."""
        return f"{self.region}.urgent", str(self.region), f"{self.region}.ticks"

    def __getitem__(self, name: str) -> str:
        """Return the key of a name in FIXED, such as `keys["holds"]`. Raises KeyError for other names."""
        FIXED[name]
        return self.prefix + name

    def of(self, family: str, member: str) -> str:
        """Return a key of a family, such as `keys.of("job:", job_id)`. Raises KeyError for an unknown family."""
        FAMILIES[family]
        return self.prefix + family + member


def older(prefix: str) -> str:
    """Return the prefix of versions without namespaces."""
    return re.sub(f"^{NAMESPACE}:", f"{_OLDER}:", prefix)


def idempotency_digest(key: str) -> str:
    """Hash an idempotency key, so that the name of its Redis key is short and has no personal data."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


def lua_table() -> str:
    """Return the Lua definitions of the names: `K.turns`, `F.job .. id`, and their common `PREFIX`.

    PREFIX is KEYS[1], or `older()` for a ledger without a namespace (lib/base.lua). Names are built on first use,
    because this code runs at each call and a script needs few of them. `tests/architecture/test_lua.py` checks that
    each name is in FIXED or FAMILIES.
    """
    older_prefix = f"local function older() return (string.gsub(KEYS[1], '^{NAMESPACE}:', '{_OLDER}:')) end"
    return f"local PREFIX = KEYS[1]\n{older_prefix}\n{_names('K', '')}\n{_names('F', ':')}"


def _names(table: str, end: str) -> str:
    index = f"function(known, name) local key = PREFIX .. name .. '{end}' rawset(known, name, key) return key end"
    return f"local {table} = setmetatable({{}}, {{__index = {index}}})"
