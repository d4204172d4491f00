"""The credentials of one worker, and what happens when CustomerGauge refuses one."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from typing import TYPE_CHECKING, Literal

from gaugepost.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.ledger import WorkerLedger
    from gaugepost.settings import Credentials as CredentialSettings

_NOTED_EVERY_S = 60.0


def fingerprint(need: str, secret: str, client_id: str = "") -> str:
    """Return eight hex digits that identify a credential and do not reveal it. `need` is `oauth` or `api_key`."""
    return hmac.new(secret.encode(), f"gaugepost {need} {client_id}".encode(), hashlib.sha256).hexdigest()[:8]


class Credentials:
    """The credentials of a region that this worker has. Thread-safe.

    `on_refused_alone` is called with the need (`oauth` or `api_key`) when CustomerGauge refuses this worker's
    credential and accepts another worker's.
    """

    def __init__(
        self, ledger: WorkerLedger, settings: CredentialSettings, on_refused_alone: Callable[[str], None]
    ) -> None:
        self.api_key = settings.api_key.get_secret_value() if settings.api_key else None
        self.client_id = settings.client_id.get_secret_value() if settings.client_id else None
        self.client_secret = settings.client_secret.get_secret_value() if settings.client_secret else None
        self.fingerprints: dict[str, str] = {}
        """Need → fingerprint of each credential that is set."""
        if self.client_id is not None and self.client_secret is not None:
            self.fingerprints["oauth"] = fingerprint("oauth", self.client_secret, self.client_id)
        if self.api_key is not None:
            self.fingerprints["api_key"] = fingerprint("api_key", self.api_key)
        self._ledger = ledger
        self._on_refused_alone = on_refused_alone
        self._noted_at = dict.fromkeys(self.fingerprints, 0.0)
        self._lock = threading.Lock()

    def missing_setting(self, need: str) -> str:
        """Return the name of the setting that a missing credential lacks, without its prefix."""
        region = self._ledger.region.upper()
        if need == "api_key":
            return f"{region}_API_KEY"
        return f"{region}_CLIENT_ID" if self.client_id is None else f"{region}_CLIENT_SECRET"

    def accepted(self, need: str) -> None:
        """Record, at most once a minute, that CustomerGauge accepted this credential."""
        if self._was_noted(need):  # before the lock: each delivery comes here
            return
        with self._lock:
            if self._was_noted(need):
                return
            self._noted_at[need] = time.monotonic()
        try:
            self._ledger.note_credential(need, self.fingerprints[need], "accepted")
        except StoreError:
            self._noted_at[need] = 0.0

    def _was_noted(self, need: str) -> bool:
        return need not in self._noted_at or time.monotonic() - self._noted_at[need] < _NOTED_EVERY_S

    def refused(self, need: str) -> bool:
        """Record a refusal. Return whether only this worker's credential is refused: then this worker ends."""
        return self._is_refused_alone(need, "refused")

    def stop_if_refused(self) -> None:
        """End this worker if its credential was refused before its restart, and only this one."""
        for need in self.fingerprints:
            self._is_refused_alone(need, "")

    def _is_refused_alone(self, need: str, answer: Literal["refused", ""]) -> bool:
        try:
            alone = self._ledger.note_credential(need, self.fingerprints[need], answer)
        except StoreError:
            return False
        if alone:
            self._on_refused_alone(need)
        return alone
