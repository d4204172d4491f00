"""The checks of `gaugepost check`: Redis, rights, credentials, workers and beat of each region. It sends no record."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from gaugepost import encryption
from gaugepost.connection import connect, redis_url
from gaugepost.errors import ClusterNotSupported, NotPermitted
from gaugepost.keys import Keys
from gaugepost.ledger import Ledger
from gaugepost.ledger.permissions import lacking
from gaugepost.ledger.refusals import user_of
from gaugepost.ledger.rights import Part
from gaugepost.ledger.scripts import our_errors
from gaugepost.mappings import Mappings
from gaugepost.settings import PREFIX, exposed_dotenv
from gaugepost.states import JobState
from gaugepost_tasks.endpoints.token import fetch_token
from gaugepost_tasks.http import HttpClient, host_of
from gaugepost_tasks.http_messages import Endpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gaugepost.regions import Region
    from gaugepost.settings import Settings


_PROXY_NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_WITHOUT_INFO = frozenset({Part.SERVICE, Part.BEAT, Part.FLOWER, Part.GATEWAY})
"""Parts that neither need the configuration of Redis nor have the right to read it."""
_WITH_CREDENTIALS = frozenset({Part.OPERATOR, Part.WORKER})
_SAMPLE = 100
"""How many jobs of each state are tested for decryption."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check."""

    region: str
    what: str
    ok: bool
    detail: str
    absent: bool = False
    """Whether a process does not run. That is no failure, since people check before they start processes."""

    def __str__(self) -> str:
        """Return the line for people: `ok      eu  token: granted`."""
        how = "absent" if self.absent else "ok    " if self.ok else "FAILED"
        return f"{how}  {self.region}  {self.what}: {self.detail}"

    def to_dict(self) -> dict[str, Any]:
        """Return the row of `check --json`."""
        return asdict(self)


def checks(settings: Settings, part: Part = Part.OPERATOR) -> Iterator[Check]:
    """Check the environment and each region; `part`: whose rights in Redis to check.

    Raises SettingsError if mappings.toml is wrong, StoreUnreachable if Redis cannot be reached, ClusterNotSupported. No
    other check is useful then.
    """
    mode = exposed_dotenv()
    if mode is not None:
        yield Check(
            "all", ".env", ok=False, detail=f"other users of this machine can read it (mode {mode}): chmod 600 .env"
        )
    yield from _ignored_proxies()
    mappings = Mappings.of(settings)
    for region in settings.regions:
        if part not in _WITHOUT_INFO:
            yield _permitted(region, "redis", partial(_redis, settings, region))
        yield _rights(settings, region, part)
        if mappings is not None:
            named = sum(known.region is region for known in mappings)
            yield Check(region, "mappings", ok=True, detail=f"{named} named in {settings.mappings}")
        if part in _WITH_CREDENTIALS:
            yield from _delivery(settings, region)


def _delivery(settings: Settings, region: Region) -> Iterator[Check]:
    """Check what workers need to deliver, and whether workers and beat run."""
    yield from _proxy(settings, region)
    yield _token(settings, region, HttpClient.of(settings, region, pool_size=1))
    yield _permitted(region, "data_key", partial(_data_key, settings, region))
    api_key = settings.credentials(region).api_key
    detail = (
        "set; not tested, since CustomerGauge has no call that tests it without sending data"
        if api_key
        else f"{PREFIX}{region.upper()}_API_KEY not set: responses and files wait for it"
    )
    yield Check(region, "api_key", api_key is not None, detail)
    yield from _parts(settings, region)


def _parts(settings: Settings, region: Region) -> Iterator[Check]:
    """Yield whether workers and beat run, with the command that starts those that do not."""
    with connect(settings, region) as client:
        presence = Ledger(client, region, settings).presence()
    missing = {one["part"]: f"{one['reason']}; start one: {one['command']}" for one in presence.missing()}
    there = {"worker": f"{presence.workers} alive", "beat": f"ticked {presence.beat_age_s} s ago"}
    for part, detail in there.items():
        yield Check(region, part, ok=True, detail=missing.get(part, detail), absent=part in missing)


def _ignored_proxies() -> Iterator[Check]:
    """Report proxies in the environment, because other programs use them and gaugepost does not."""
    named = [name for name in _PROXY_NAMES if os.environ.get(name) or os.environ.get(name.lower())]
    if named:
        ignored = (
            f"{', '.join(named)} set, but ignored: set {PREFIX}PROXY_URL to send requests to CustomerGauge by a proxy"
        )
        yield Check("all", "environment", ok=True, detail=ignored)


def _proxy(settings: Settings, region: Region) -> Iterator[Check]:
    proxy = settings.proxy(region)
    if proxy is not None:
        yield Check(
            region, "proxy", ok=True, detail=f"requests to CustomerGauge go through {host_of(proxy.get_secret_value())}"
        )


def _permitted(region: Region, what: str, look: Callable[[], Check]) -> Check:
    """Return the result of `look`, or a failed check if Redis does not permit it."""
    try:
        return look()
    except NotPermitted as error:
        return Check(region, what, ok=False, detail=str(error))


def _rights(settings: Settings, region: Region, part: Part) -> Check:
    """Check whether the user of GAUGEPOST_REDIS_URL has the rights in Redis that the part needs."""
    with connect(settings, region) as client:
        lacks = lacking(client, Keys(region, settings.namespace), part)
        user = user_of(client)
    return Check(region, "rights", lacks is None, str(lacks or f"user {user} has all rights of this part: {part}"))


def _redis(settings: Settings, region: Region) -> Check:
    with connect(settings, region) as client, our_errors():
        info: Any = client.info()
    if info.get("cluster_enabled"):
        raise ClusterNotSupported
    policy = info.get("maxmemory_policy", "noeviction")
    durable = bool(info.get("aof_enabled"))
    detail = (
        f"{_place(settings, region)}: {info['redis_version']}, append-only file {'on' if durable else 'OFF'}, {policy}"
    )
    used, limit = int(info["used_memory"]), int(info.get("maxmemory") or 0)
    full = 0 < limit <= used
    if full:
        detail += f"; FULL ({used / 1e6:,.0f} of {limit / 1e6:,.0f} MB): it accepts no job until memory is free"
    if not durable:
        detail += "; set `appendonly yes` in redis.conf, or a restart of Redis loses jobs"
    if policy != "noeviction":
        detail += "; set `maxmemory-policy noeviction`, or Redis deletes jobs when its memory is full"
    return Check(region, "redis", durable and policy == "noeviction" and not full, detail)


def _place(settings: Settings, region: Region) -> str:
    """Return the address and database of Redis and the namespace, without user and password."""
    address = redis_url(settings, region).partition("://")[2].rpartition("@")[2].partition("?")[0]
    return f"{address}, namespace {settings.namespace}"


def _data_key(settings: Settings, region: Region) -> Check:
    """Check whether personal data is encrypted, and whether this machine's keys decrypt the jobs in the ledger."""
    keys = encryption.read_keys(settings.data_key.get_secret_value()) if settings.data_key else ()
    detail = f"{len(keys)} keys, the first one encrypts" if keys else "not set: personal data in Redis is not encrypted"
    ledger = Ledger(connect(settings, region), region, settings)
    try:
        seen = [view for state in JobState for view in ledger.read(list(islice(ledger.ids(state), _SAMPLE))) if view]
    finally:
        ledger.close()
    shut = sum(view.sealed is not None for view in seen)
    if not shut:
        return Check(region, "data_key", ok=True, detail=detail)
    lacks = f"{shut} of {len(seen)} jobs read are encrypted with another key: add it to {PREFIX}DATA_KEY"
    return Check(region, "data_key", ok=False, detail=f"{detail}; {lacks}")


def _token(settings: Settings, region: Region, http: HttpClient) -> Check:
    credentials = settings.credentials(region)
    if credentials.client_id is None or credentials.client_secret is None:
        names = [name for name in ("client_id", "client_secret") if getattr(credentials, name) is None]
        detail = " and ".join(f"{PREFIX}{region}_{name}".upper() for name in names)
        return Check(
            region, "token", ok=False, detail=f"{detail} not set: records, links and status changes wait for it"
        )
    endpoints = Endpoints.of(region, auth_url=settings.auth_url)
    client_id, client_secret = (
        secret.get_secret_value() for secret in (credentials.client_id, credentials.client_secret)
    )
    refusal = fetch_token(http, endpoints, client_id, client_secret, now=time.time()).judgement
    if refusal is not None:
        return Check(region, "token", ok=False, detail=f"{refusal.verdict}: {refusal.message}")
    return Check(region, "token", ok=True, detail="granted")
