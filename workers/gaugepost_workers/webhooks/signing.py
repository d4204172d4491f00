"""Sign webhooks by the specification Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING

from gaugepost.ledger.webhook_records import SECRET_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def signed_headers(event_id: str, timestamp: int, body: bytes, secrets: Iterable[str]) -> Mapping[str, str]:
    """Return the headers of a webhook, with one signature for each secret. `timestamp`: Unix seconds."""
    content = f"{event_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(secret, content)}" for secret in secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()
