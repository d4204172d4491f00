"""What `gaugepost check` looks at: Redis and the credentials of each region. No record is sent."""

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
_WITHOUT_INFO = frozenset({Part.SERVICE, Part.BEAT, Part.FLOWER})
"""Parts that have no right to ask Redis how it is set up, nor a need."""
_WITH_CREDENTIALS = frozenset({Part.OPERATOR, Part.WORKER})
_SAMPLE = 100
"""Jobs of each state that are looked at, those that go next."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    region: str
    what: str
    ok: bool
    detail: str
    absent: bool = False
    """A part that is not there: no failure, since one checks before one starts them."""

    def __str__(self) -> str:
        """Read as `ok    eu  token: 0.2 s`."""
        how = "absent" if self.absent else "ok    " if self.ok else "FAILED"
        return f"{how}  {self.region}  {self.what}: {self.detail}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as `check --json` shows it."""
        return asdict(self)


def checks(settings: Settings, part: Part = Part.OPERATOR) -> Iterator[Check]:
    """Look at each region.

    Raises SettingsError for a mappings.toml that is wrong, StoreUnreachable if Redis cannot be reached and
    ClusterNotSupported: nothing else matters then.
    """
    mode = exposed_dotenv()
    if mode is not None:
        yield Check(
            "all", ".env", ok=False, detail=f"every user of this machine may read it (mode {mode}): chmod 600 .env"
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
    """Look at what workers need to deliver, and whether workers and beat are there."""
    yield from _proxy(settings, region)
    yield _token(settings, region, HttpClient.of(settings, region, pool_size=1))
    yield _permitted(region, "data_key", partial(_data_key, settings, region))
    api_key = settings.credentials(region).api_key
    told = (
        "set; the API has no call that would prove it without sending"
        if api_key
        else f"{PREFIX}{region.upper()}_API_KEY not set: responses and files wait for it"
    )
    yield Check(region, "api_key", api_key is not None, told)
    yield from _parts(settings, region)


def _parts(settings: Settings, region: Region) -> Iterator[Check]:
    """Say which parts are there, and how to start those that are not."""
    with connect(settings, region) as client:
        presence = Ledger(client, region, settings).presence()
    missing = {one["part"]: f"{one['reason']}; start one: {one['command']}" for one in presence.missing()}
    there = {"worker": f"{presence.workers} alive", "beat": f"ticked {presence.beat_age_s} s ago"}
    for part, told in there.items():
        yield Check(region, part, ok=True, detail=missing.get(part, told), absent=part in missing)


def _ignored_proxies() -> Iterator[Check]:
    """Report proxies in the environment: other programs use them, and gaugepost does not."""
    named = [name for name in _PROXY_NAMES if os.environ.get(name) or os.environ.get(name.lower())]
    if named:
        ignored = (
            f"{', '.join(named)} set, and ignored: only {PREFIX}PROXY_URL leads CustomerGauge's requests to a proxy"
        )
        yield Check("all", "environment", ok=True, detail=ignored)


def _proxy(settings: Settings, region: Region) -> Iterator[Check]:
    proxy = settings.proxy(region)
    if proxy is not None:
        yield Check(
            region, "proxy", ok=True, detail=f"requests to CustomerGauge go through {host_of(proxy.get_secret_value())}"
        )


def _permitted(region: Region, what: str, look: Callable[[], Check]) -> Check:
    """Return what a look found, or that Redis does not permit it."""
    try:
        return look()
    except NotPermitted as error:
        return Check(region, what, ok=False, detail=str(error))


def _rights(settings: Settings, region: Region, part: Part) -> Check:
    """Look whether the user may do in Redis what the part needs."""
    with connect(settings, region) as client:
        lacks = lacking(client, Keys(region, settings.namespace), part)
        user = user_of(client)
    return Check(region, "rights", lacks is None, str(lacks or f"user {user} has the rights that a part needs: {part}"))


def _redis(settings: Settings, region: Region) -> Check:
    with connect(settings, region) as client, our_errors():
        info: Any = client.info()
    if info.get("cluster_enabled"):
        raise ClusterNotSupported
    policy = info.get("maxmemory_policy", "noeviction")
    durable = bool(info.get("aof_enabled"))
    told = (
        f"{_place(settings, region)}: {info['redis_version']}, append-only file {'on' if durable else 'OFF'}, {policy}"
    )
    used, limit = int(info["used_memory"]), int(info.get("maxmemory") or 0)
    full = 0 < limit <= used
    if full:
        told += f"; FULL ({used / 1e6:,.0f} of {limit / 1e6:,.0f} MB): no job is accepted until there is room"
    if not durable:
        told += "; set `appendonly yes` in redis.conf, or jobs are lost when Redis ends"
    if policy != "noeviction":
        told += "; set `maxmemory-policy noeviction`, or Redis throws jobs away when it is full"
    return Check(region, "redis", durable and policy == "noeviction" and not full, told)


def _place(settings: Settings, region: Region) -> str:
    """Name the Redis, its database and the namespace, without user and password."""
    address = redis_url(settings, region).partition("://")[2].rpartition("@")[2].partition("?")[0]
    return f"{address}, namespace {settings.namespace}"


def _data_key(settings: Settings, region: Region) -> Check:
    """Tell whether personal data is sealed, and whether some of what lies there cannot be opened here."""
    keys = encryption.read_keys(settings.data_key.get_secret_value()) if settings.data_key else ()
    told = f"{len(keys)} keys, the first one seals" if keys else "not set: personal data can be read in Redis"
    ledger = Ledger(connect(settings, region), region, settings)
    try:
        seen = [view for state in JobState for view in ledger.read(list(islice(ledger.ids(state), _SAMPLE))) if view]
    finally:
        ledger.close()
    shut = sum(view.sealed is not None for view in seen)
    if not shut:
        return Check(region, "data_key", ok=True, detail=told)
    lacks = f"{shut} of {len(seen)} jobs looked at are sealed under another key"
    return Check(region, "data_key", ok=False, detail=f"{told}; {lacks}")


def _token(settings: Settings, region: Region, http: HttpClient) -> Check:
    credentials = settings.credentials(region)
    if credentials.client_id is None or credentials.client_secret is None:
        names = [name for name in ("client_id", "client_secret") if getattr(credentials, name) is None]
        told = " and ".join(f"{PREFIX}{region}_{name}".upper() for name in names)
        return Check(region, "token", ok=False, detail=f"{told} not set: records, links and status changes wait for it")
    endpoints = Endpoints.of(region, auth_url=settings.auth_url)
    client_id, client_secret = (
        secret.get_secret_value() for secret in (credentials.client_id, credentials.client_secret)
    )
    refusal = fetch_token(http, endpoints, client_id, client_secret, now=time.time()).judgement
    if refusal is not None:
        return Check(region, "token", ok=False, detail=f"{refusal.verdict}: {refusal.message}")
    return Check(region, "token", ok=True, detail="granted")
