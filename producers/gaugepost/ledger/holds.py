"""Holds, parsed from Redis, with the failed requests that opened them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


LAST_MS = 253_402_300_799_999
"""The last moment that has a date: the end of the year 9999, Unix ms. Holds, filters and keys may end later."""


def iso(ms: float | None) -> str | None:
    """Format Unix ms as ISO 8601 in UTC, with ms and offset. A moment after the year 9999 is shown as its end."""
    if ms is None:
        return None
    return datetime.fromtimestamp(min(ms, LAST_MS) / 1000, UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """A failed request. `at`: when the failure was recorded, Unix ms. Fields are None if not known.

    `endpoint`: `token` for a request for an access token, which belongs to no job.
    """

    at: int
    verdict: str | None = None
    status: int | None = None
    job: str | None = None
    kind: str | None = None
    configuration: str | None = None
    endpoint: str | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Parse a request that `lua/lib/failed_requests.lua` wrote."""
        texts = {name: row.get(name) for name in ("verdict", "job", "kind", "configuration", "endpoint")}
        return cls(int(row["at"]), status=_whole(row.get("status")), **texts)

    @property
    def answer(self) -> str:
        """The answer, such as `HTTP 500 (server_error)`; without a status, the verdict."""
        return self.verdict or "failed" if self.status is None else f"HTTP {self.status} ({self.verdict})"

    def to_dict(self) -> dict[str, Any]:
        """Return the request in the form of `holds --json`."""
        facts = {
            name: getattr(self, name) for name in ("verdict", "status", "job", "kind", "configuration", "endpoint")
        }
        return {"at": iso(self.at), **facts}


@dataclass(frozen=True, slots=True)
class Cause:
    """The failed requests that opened a hold. `failures`: their number; `requests`: the last of them.

    `beside`: further requests that failed at the same time; one event may explain them, so they do not count.
    `first`: when the first failure was recorded, Unix ms.
    """

    failures: int
    first: int | None
    beside: int = 0
    requests: tuple[FailedRequest, ...] = ()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Parse a cause that `lua/lib/failed_requests.lua` wrote."""
        requests = tuple(FailedRequest.of(request) for request in row.get("requests") or ())
        return cls(int(row["failures"]), _whole(row.get("first")), int(row.get("beside", 0)), requests)

    def different(self, name: str) -> list[str]:
        """Return the distinct values of a field of the requests: `job`, `kind` or `configuration`."""
        return list(dict.fromkeys(value for request in self.requests if (value := getattr(request, name))))

    def answers(self) -> dict[str, int]:
        """Return answer → number of requests."""
        return dict(Counter(request.answer for request in self.requests))

    def to_dict(self) -> dict[str, Any]:
        """Return the cause in the form of `holds --json`. Only the first two numbers include unlisted requests."""
        return {
            "failures": self.failures,
            "beside": self.beside,
            "first_at": iso(self.first),
            "last_at": iso(self.requests[-1].at) if self.requests else None,
            "jobs": len(self.different("job")),
            "configurations": len(self.different("configuration")),
            "kinds": self.different("kind"),
            "answers": self.answers(),
            "requests": [request.to_dict() for request in self.requests],
        }


@dataclass(frozen=True, slots=True)
class Hold:
    """A stop sign on a region (`scope` ""), a configuration, a family of endpoints or a credential. Times are Unix ms.

    `cause`: the failed requests that opened it. None: a person, a missing setting or an older version opened it.
    `failed_probes`: number of failed probes since; `last_probe`: the last of them.
    """

    scope: str
    reason: str
    by: str
    since: int
    until: int | None = None
    probe_at: int | None = None
    verdict: str | None = None
    label: str | None = None
    cause: Cause | None = field(default=None)
    failed_probes: int = 0
    last_probe: FailedRequest | None = None

    @property
    def ends(self) -> int | None:
        """When it ends, or when its next probe is sent; None if only a person ends it."""
        return self.until or self.probe_at

    def to_dict(self) -> dict[str, Any]:
        """Return the hold in the form of `holds --json`."""
        times = {"since": iso(self.since), "until": iso(self.until), "probe_at": iso(self.probe_at)}
        why = {
            "verdict": self.verdict,
            "cause": self.cause and self.cause.to_dict(),
            "failed_probes": self.failed_probes,
            "last_failed_probe": self.last_probe and self.last_probe.to_dict(),
        }
        return {"reason": self.reason, "by": self.by, **times, **why}


def read_hold(scope: str, found: Mapping[str, Any]) -> Hold:
    """Parse one hold. Fields for people may be missing, because older versions do not write them."""
    opened, last = found.get("opened"), found.get("last")
    return Hold(
        scope=scope,
        reason=found["reason"],
        by=found["by"],
        since=int(found["since"]),
        until=_whole(found.get("until")),
        probe_at=_whole(found.get("probe_at")),
        verdict=found.get("verdict"),
        label=found.get("label"),
        cause=Cause.of(opened) if opened else None,
        failed_probes=int(found.get("failed", 0)),
        last_probe=FailedRequest.of(last) if last else None,
    )


def read_holds(flat: Sequence[bytes]) -> dict[str, Hold]:
    """Parse the holds of a region from the flat list of HGETALL. Return scope → hold."""
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {scope.decode(): _parsed(scope, text) for scope, text in pairs}


@lru_cache(4096)
def _parsed(scope: bytes, text: bytes) -> Hold:
    """Parse a hold. The console reads all holds every second, and few of them change."""
    return read_hold(scope.decode(), json.loads(text))


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
