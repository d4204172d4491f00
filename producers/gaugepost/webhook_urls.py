"""Check the URL of a webhook when it is added. A worker checks the resolved address again before each connection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gaugepost.addresses import numeric, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.addresses import Network

_LONGEST = 2_000
_URL = re.compile(r"(?ai)https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?][\w.~!$&'()*+,;=:@%/?-]*)?")
"""A URL without user, password and fragment, and without anything that URL parsers disagree on."""


def check_url(url: str, networks: Sequence[Network]) -> str:
    """Return the URL. Raises ValueError, which says what is expected. `networks`: GAUGEPOST_WEBHOOK_NETWORKS."""
    if len(url) > _LONGEST or not _URL.fullmatch(url):
        raise ValueError("expected https://, host, and optionally port, path and query, without user and password")
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("expected a port of at most 65535") from None
    scheme, host = parts.scheme, parts.hostname or ""
    if scheme == "http" and not networks:
        raise ValueError("expected https:// (http:// only for networks in GAUGEPOST_WEBHOOK_NETWORKS)")
    address = numeric(host)
    why = None if address is None else refusal(scheme, address, networks)
    if why is not None:
        raise ValueError(f"{why}: GAUGEPOST_WEBHOOK_NETWORKS lists the networks that are allowed all the same")
    return url
