"""The PUT of the peers' tasks, on open connections, with one session for each process.

Peers with threads, processes or greenlets use a `requests.Session`. BENCH_CLIENT selects its adapter: `direct` is
gaugepost's own, to compare queues and not HTTP clients; `requests` is the one that requests brings. Peers on asyncio
use aiohttp, their cheapest client.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from benchmarks import job

if TYPE_CHECKING:
    import aiohttp
    import requests
    from requests.adapters import BaseAdapter

_URL = job.STUB_URL + job.RECORDS
_AT_ONCE = 256


def session() -> requests.Session:
    """Return this process' session: one made before a fork would share its sockets."""
    return _session_of(os.getpid())


@functools.cache
def _session_of(_pid: int) -> requests.Session:
    import requests  # noqa: PLC0415 - not there in every environment

    made = requests.Session()
    made.trust_env = False  # no search for proxies at each call, as for all targets
    made.mount("http://", _adapter())
    made.headers.update(job.HEADERS)
    return made


def _adapter() -> BaseAdapter:
    if job.CLIENT == "direct":
        from gaugepost_tasks.http.direct import DirectAdapter  # noqa: PLC0415 - as above

        return DirectAdapter(pool_size=_AT_ONCE)
    from requests.adapters import HTTPAdapter  # noqa: PLC0415 - as above

    return HTTPAdapter(pool_connections=1, pool_maxsize=_AT_ONCE)


def put(number: int, record: dict[str, Any]) -> dict[str, int]:
    session().put(_URL, data=job.body(record), timeout=30).raise_for_status()
    return job.status(number)


@functools.cache
def _client() -> aiohttp.ClientSession:
    import aiohttp  # noqa: PLC0415 - not there in every environment

    return aiohttp.ClientSession(headers=job.HEADERS, connector=aiohttp.TCPConnector(limit=_AT_ONCE))


async def put_async(number: int, record: dict[str, Any]) -> dict[str, int]:
    async with _client().put(_URL, data=job.body(record)) as answer:
        await answer.read()
        answer.raise_for_status()
    return job.status(number)
