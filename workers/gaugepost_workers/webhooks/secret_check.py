"""`SecretCheck`: keep the secrets of webhooks readable while the DATA_KEY is rotated, and report those that are not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from gaugepost.errors import DataSealed

if TYPE_CHECKING:
    from gaugepost.ledger import WorkerLedger

log = structlog.get_logger("gaugepost.webhooks")

EACH_S = 300.0
"""A worker checks so often that its notes are younger than the 15 minutes for which webhook_settle.lua uses them."""
LEFT_S = 60.0
"""How long a worker leaves an endpoint to others after it could not decrypt its secret."""


class SecretCheck:
    """Checks the secrets of all endpoints of a region: at the start of a worker, then every 5 minutes."""

    def __init__(self, ledger: WorkerLedger) -> None:
        self._ledger = ledger
        self._next = 0.0
        self._left: dict[str, float] = {}
        self._logged: set[str] = set()

    def run(self) -> None:
        """Encrypt the secrets with the first DATA_KEY, so that the older keys can be removed. Raises StoreError."""
        if time.monotonic() < self._next:
            return
        for endpoint in self._ledger.webhooks.read():
            try:
                self._ledger.webhooks.renew(endpoint.id)
            except DataSealed as error:
                self._ledger.webhook_outbox.note_sealed(endpoint.id, self.failed(endpoint.id, error))
        self._next = time.monotonic() + EACH_S

    def failed(self, endpoint_id: str, error: DataSealed) -> str:
        """Leave an endpoint to other workers for a while. Return why this one cannot send to it."""
        self._left[endpoint_id] = time.monotonic() + LEFT_S
        why = f"workers cannot sign its events: the secret {error}"
        if endpoint_id not in self._logged:
            self._logged.add(endpoint_id)
            log.error("webhook waits", webhook=endpoint_id, why=why, next=f"gaugepost webhooks rotate {endpoint_id}")
        return why

    def leaves(self, endpoint_id: str) -> bool:
        """Return whether this worker leaves an endpoint to others."""
        return self._left.get(endpoint_id, 0.0) > time.monotonic()
