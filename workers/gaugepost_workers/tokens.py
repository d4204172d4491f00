"""The region's access token, shared by all workers through Redis.

One worker fetches it and refreshes it early; all drop it when CustomerGauge refuses it. In Redis it is encrypted with a
key that is derived from the client secret. A thread that has a valid token in memory does not ask Redis.
"""

from __future__ import annotations

import base64
import json
import random
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gaugepost.errors import StoreError
from gaugepost.verdict import Verdict
from gaugepost_tasks.answers.verdicts import cap_retry_after
from gaugepost_tasks.endpoints.token import fetch_token
from gaugepost_tasks.holds import token_hold
from gaugepost_tasks.http_messages import Judgement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gaugepost.ledger import SharedToken, WorkerLedger
    from gaugepost.settings import Settings
    from gaugepost_tasks.endpoints.token import TokenAnswer
    from gaugepost_tasks.http import HttpClient
    from gaugepost_tasks.http_messages import Endpoints
    from gaugepost_workers.clock import Clock
    from gaugepost_workers.credentials import Credentials

_LOCK_S = 3.0  # others wait this long for a worker that was killed during its fetch
_MAX_LIFE_S = 3_600.0  # "only valid for up to 1 hour" (API page PUT Close the Loop), whatever the answer promises
_REFRESH_BEFORE_S = 300.0
_POLL_S = 0.02
_LOCK_MS = int(_LOCK_S * 1000)

log = structlog.get_logger("gaugepost.token")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. Each fetch in the region raises `generation` by one."""

    value: str
    generation: int

    def __repr__(self) -> str:
        # Never the value: a repr may reach a log.
        return f"Token(generation={self.generation})"


class TokenUnavailable(Exception):  # noqa: N818
    """Raised when there is no token. `judgement` says why.

    `alone`: CustomerGauge refuses only this worker's credential, so the region needs no hold.
    """

    def __init__(self, judgement: Judgement, *, alone: bool = False) -> None:
        super().__init__(str(judgement.verdict))
        self.judgement = judgement
        self.alone = alone


def open_tokens(
    ledger: WorkerLedger,
    http: HttpClient,
    endpoints: Endpoints,
    credentials: Credentials,
    settings: Settings,
    clock: Clock,
) -> Tokens | None:
    """Return the token source of a worker; None without a client id and secret."""
    client_id, client_secret = credentials.client_id, credentials.client_secret
    if client_id is None or client_secret is None:
        return None

    def fetch() -> TokenAnswer:
        answer = fetch_token(http, endpoints, client_id, client_secret, now=clock.wall())
        if answer.judgement is None:
            return answer
        return replace(answer, judgement=cap_retry_after(answer.judgement, settings.retry_after_cap))

    return Tokens(
        ledger,
        client_secret,
        fetch,
        settings.connect_timeout + settings.read_timeout + 1,
        credentials.fingerprints["oauth"],
        lambda: credentials.refused("oauth"),
    )


def _cipher(region: str, client_secret: str) -> Fernet:
    key = HKDF(hashes.SHA256(), 32, None, f"gaugepost token {region}".encode()).derive(client_secret.encode())
    return Fernet(base64.urlsafe_b64encode(key))


def _refresh_after(life_s: float) -> float:
    """Return the seconds until the refresh: 5 minutes before the end, or 90 % of a life under 50 minutes."""
    return max(life_s - _REFRESH_BEFORE_S, life_s * 0.9)


class Tokens:
    """The token source of one worker process. Thread-safe.

    `fetch` asks CustomerGauge for a token and takes at most `fetch_timeout_s` for a request. `fingerprint` names the
    credential. `refused` records that CustomerGauge refused it, and returns whether it refuses only this one.
    """

    def __init__(
        self,
        ledger: WorkerLedger,
        client_secret: str,
        fetch: Callable[[], TokenAnswer],
        fetch_timeout_s: float,
        fingerprint: str = "",
        refused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ledger = ledger
        self._fetch = fetch
        self._wait_s = 3 * fetch_timeout_s  # a fetch may take two requests
        self._fernet = _cipher(ledger.region, client_secret)
        self._fingerprint = fingerprint
        self._refused = refused
        self._holder = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._load_again_at = 0.0

    def get(self) -> Token:
        """Return a valid token. Raises TokenUnavailable, StoreError."""
        token = self._token
        if token is not None and time.monotonic() < self._load_again_at:
            return token
        with self._lock:
            if self._token is None or time.monotonic() >= self._load_again_at:
                self._token = self._load()
            return self._token

    def drop(self, token: Token) -> None:
        """Drop a refused token for all workers, unless there is a newer one by now. Raises StoreError."""
        # In Redis first: a thread that starts a job between the two steps would load the refused token again.
        self._ledger.drop_token(token.generation)
        with self._lock:
            if self._token is not None and self._token.generation <= token.generation:
                self._token = None

    def _load(self) -> Token:
        deadline = time.monotonic() + self._wait_s
        while True:
            shared = self._ledger.token(self._holder, _LOCK_MS, self._fingerprint)
            known = self._decrypt(shared)
            if shared.to_fetch:
                return self._fetch_and_share(known)
            if known is not None:
                return known
            if shared.failure:
                raise TokenUnavailable(_read_failure(shared.failure))
            if time.monotonic() > deadline:
                raise TokenUnavailable(Judgement(Verdict.UNREACHABLE, "no worker fetched a token in time"))
            time.sleep(_POLL_S)

    def _decrypt(self, shared: SharedToken) -> Token | None:
        if not shared.sealed:
            return None
        try:
            value = self._fernet.decrypt(shared.sealed).decode()
        except InvalidToken:  # encrypted under another client secret, or damaged
            self._ledger.drop_token(shared.generation)
            return None
        self._plan_next_load(shared.left_ms / 1000)
        return Token(value, shared.generation)

    def _plan_next_load(self, left_s: float) -> None:
        """Load it from Redis again in at most 30 s: another worker may refresh or drop it."""
        self._load_again_at = time.monotonic() + min(left_s, max(1.0, left_s / 10), 30.0)

    @contextmanager
    def _lock_renewed(self) -> Iterator[None]:
        """Renew the lock while the block runs. It is short: others wait only briefly if this worker is killed."""
        done = threading.Event()
        threading.Thread(target=self._renew_lock, args=(done,), name="token-lock", daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def _renew_lock(self, done: threading.Event) -> None:
        while not done.wait(_LOCK_S / 3):
            with suppress(StoreError):
                self._ledger.token(self._holder, _LOCK_MS, self._fingerprint)

    def _fetch_and_share(self, known: Token | None) -> Token:
        """Fetch a token and share it. If that fails, return `known`, still valid, or raise TokenUnavailable."""
        with self._lock_renewed():
            answer = self._fetch()
        if answer.token is None:
            judgement = answer.judgement or Judgement(Verdict.SERVER_ERROR, "no token")
            log.warning("no token", verdict=str(judgement.verdict), message=judgement.message)
            if judgement.verdict is Verdict.REFUSED_CREDENTIALS and self._refused():
                raise TokenUnavailable(judgement, alone=True)
            hold = token_hold(judgement, random.random(), self._fingerprint)  # noqa: S311 - jitter
            self._ledger.put_token_failure(self._holder, _write_failure(judgement), hold, self._fingerprint)
            if known is not None:
                return known
            raise TokenUnavailable(judgement)
        life_s = min(answer.expires_in_s or _MAX_LIFE_S, _MAX_LIFE_S)
        sealed = self._fernet.encrypt(answer.token.encode())
        refresh_ms = int(_refresh_after(life_s) * 1000)
        generation = self._ledger.put_token(self._holder, sealed, int(life_s * 1000), refresh_ms, self._fingerprint)
        self._plan_next_load(life_s)
        return Token(answer.token, generation)


def _write_failure(judgement: Judgement) -> str:
    failure = {"v": judgement.verdict, "m": judgement.message, "r": judgement.retry_after_s, "p": judgement.at_proxy}
    return json.dumps(failure)


def _read_failure(text: bytes) -> Judgement:
    found = json.loads(text)
    at_proxy = found.get("p", False)  # missing if an older worker wrote it
    return Judgement(Verdict(found["v"]), found["m"], retry_after_s=found["r"], at_proxy=at_proxy)
