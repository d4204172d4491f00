"""A herd in one process: many holders of the region's token, like those of worker processes, that ask at once.

`test_token_herd.py` runs several of them. Redis is the barrier: the value of `herd:go` is `<n>:get`, or `<n>:refused`
for holders whose token was refused. Each holder pushes its result to the list `herd:<n>`.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gaugepost import Region, Settings
from gaugepost.connection import connect
from gaugepost.ledger import WorkerLedger
from gaugepost_tasks.endpoints.token import fetch_token
from gaugepost_tasks.http import HttpClient
from gaugepost_tasks.http_messages import Endpoints
from gaugepost_workers.tokens import Token, Tokens, TokenUnavailable


class Holder:
    """The token of one worker process, requested by one thread."""

    def __init__(self, ledger: WorkerLedger, fetch: Any, secret: str, timeout_s: float) -> None:
        self._tokens = Tokens(ledger, secret, fetch, timeout_s)
        self._token: Token | None = None

    def ask(self, what: str) -> str:
        """Request the token, after dropping a refused one; return its generation, or why there is none."""
        try:
            if what == "refused" and self._token is not None:
                self._tokens.drop(self._token)
            self._token = self._tokens.get()
        except TokenUnavailable as error:
            return str(error.judgement.verdict)
        return str(self._token.generation)


class Herd:
    def __init__(self, settings: Settings, size: int) -> None:
        self._redis: Any = connect(settings, Region.EU)
        self._size = size
        http = HttpClient(connect_timeout=settings.connect_timeout, read_timeout=settings.read_timeout, pool_size=4)
        endpoints = Endpoints.of(
            Region.EU,
            auth_url=settings.auth_url,
            imports_url=settings.imports_url,
            api_url=settings.api_url,
            file_paths=settings.file_paths(),
        )
        assert settings.eu_client_id is not None
        assert settings.eu_client_secret is not None
        client_id, secret = settings.eu_client_id.get_secret_value(), settings.eu_client_secret.get_secret_value()

        def fetch() -> Any:
            return fetch_token(http, endpoints, client_id, secret, now=time.time())

        timeout_s = settings.connect_timeout + settings.read_timeout + 1
        ledger = WorkerLedger(self._redis, Region.EU, settings)
        self._holders = [Holder(ledger, fetch, secret, timeout_s) for _ in range(size)]
        self._threads = ThreadPoolExecutor(size)
        self._together = threading.Barrier(size)

    def run(self) -> None:
        """Obey the commands in Redis until the process is killed."""
        done = ""
        self._redis.incr("herd:ready")
        while True:
            word = (self._redis.get("herd:go") or b"").decode()
            if word == done:
                time.sleep(0.005)
                continue
            n, _, what = word.partition(":")
            self._redis.rpush(f"herd:{n}", *self._threads.map(self._ask, self._holders, [what] * self._size))
            done = word

    def _ask(self, holder: Holder, what: str) -> str:
        self._together.wait()
        return holder.ask(what)


if __name__ == "__main__":
    Herd(Settings.load(), int(sys.argv[1])).run()
