"""The PUT that peers' tasks make, on connections that are kept, with one session a process.

requests for those with threads or processes, as gaugepost has it; aiohttp for those on asyncio.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from benchmarks import job

if TYPE_CHECKING:
    import aiohttp
    import requests

_URL = job.STUB_URL + job.RECORDS
_AT_ONCE = 256


@functools.cache
def _session(_: int) -> requests.Session:
    """Return the session of the process with this id: one made before a fork would share its sockets."""
    import requests  # noqa: PLC0415 - not there in every environment

    session = requests.Session()
    session.trust_env = False  # no look for proxies at each call: for all alike
    session.mount("http://", requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=_AT_ONCE))
    session.headers.update(job.HEADERS)
    return session


def put(number: int, record: dict[str, Any]) -> dict[str, int]:
    _session(os.getpid()).put(_URL, data=job.body(record), timeout=30).raise_for_status()
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
