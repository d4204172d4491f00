"""A client of the simulator's control API. It uses HTTP, since the demo does not import the simulator."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

TIMEOUT_S = 10
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # ignores proxies of the environment
_ALL = 100_000


class Control:
    """Reads and changes a running simulator."""

    def __init__(self, url: str) -> None:
        self.url = url

    def effects(self) -> list[dict[str, Any]]:
        """Return what CustomerGauge would have now: one effect for each accepted request, oldest first."""
        found: list[dict[str, Any]] = self._call("GET", f"effects?limit={_ALL}")
        return found

    def state(self) -> dict[str, Any]:
        """Return the simulator's counts: requests, tokens, broken limits."""
        found: dict[str, Any] = self._call("GET", "state")
        return found

    def knobs(self, **changes: object) -> None:
        """Change settings of the simulator ("knobs")."""
        self._call("PATCH", "knobs", changes)

    def fault(self, **rule: object) -> None:
        """Add a rule: a fault for requests that match."""
        self._call("POST", "faults", rule)

    def revoke(self, region: str) -> None:
        """Make all tokens of a region invalid."""
        self._call("POST", "revoke", {"region": region})

    def _call(self, method: str, path: str, data: object = None) -> Any:  # noqa: ANN401 - JSON
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(f"{self.url}/_simulator/{path}", body, method=method)  # noqa: S310 - our own
        with DIRECT.open(request, timeout=TIMEOUT_S) as answer:
            return json.load(answer)


def answers(url: str) -> bool:
    """Return whether a GET request to the URL gets HTTP 200."""
    try:
        with DIRECT.open(url, timeout=TIMEOUT_S) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except OSError:
        return False
