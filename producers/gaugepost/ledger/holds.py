"""Holds as Redis has them, and the failed requests that opened each."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def iso(ms: float | None) -> str | None:
    """Write Unix time in ms as ISO 8601 with offset."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """One request that failed. `at`: when the failure was known, Unix ms. None: not known, or there is none.

    `endpoint` is `token` for a request for an access token, which is of no job.
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
        """Read a request as `lua/lib/causes.lua` writes it."""
        texts = {name: row.get(name) for name in ("verdict", "job", "kind", "configuration", "endpoint")}
        return cls(int(row["at"]), status=_whole(row.get("status")), **texts)

    @property
    def answer(self) -> str:
        """Return what was answered: `HTTP 500 (server_error)`, or the verdict alone."""
        return self.verdict or "failed" if self.status is None else f"HTTP {self.status} ({self.verdict})"

    def to_dict(self) -> dict[str, Any]:
        """Return it as part of `holds --json`."""
        facts = {
            name: getattr(self, name) for name in ("verdict", "status", "job", "kind", "configuration", "endpoint")
        }
        return {"at": iso(self.at), **facts}


@dataclass(frozen=True, slots=True)
class Cause:
    """What opened a hold: how many requests failed in a row, and the last of them.

    `beside`: how many more were under way when one of them failed, so that one event may explain them; they do not
    count. `first`: when the first failure was known, Unix ms.
    """

    failures: int
    first: int | None
    beside: int = 0
    requests: tuple[FailedRequest, ...] = ()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a cause as `lua/lib/causes.lua` writes it."""
        requests = tuple(FailedRequest.of(request) for request in row.get("requests") or ())
        return cls(int(row["failures"]), _whole(row.get("first")), int(row.get("beside", 0)), requests)

    def different(self, name: str) -> list[str]:
        """Return the different values that the requests have of `job`, `kind` or `configuration`."""
        return list(dict.fromkeys(value for request in self.requests if (value := getattr(request, name))))

    def answers(self) -> dict[str, int]:
        """Count the requests by what was answered."""
        return dict(Counter(request.answer for request in self.requests))

    def to_dict(self) -> dict[str, Any]:
        """Return it as part of `holds --json`; all but the first two counts are of the requests listed."""
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
    """A stop sign on a region (`scope` ""), a mapping or a credential. Times are Unix ms.

    `cause`: what opened it (None: a person, a missing setting, or an older version). `failed_probes`: how many probes
    have failed since, `last_probe` the last of these.
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
        """Return when something happens to it by itself: its end, or its next probe."""
        return self.until or self.probe_at

    def to_dict(self) -> dict[str, Any]:
        """Return the facts of it that `--json` shows."""
        times = {"since": iso(self.since), "until": iso(self.until), "probe_at": iso(self.probe_at)}
        why = {
            "verdict": self.verdict,
            "cause": self.cause and self.cause.to_dict(),
            "failed_probes": self.failed_probes,
            "last_failed_probe": self.last_probe and self.last_probe.to_dict(),
        }
        return {"reason": self.reason, "by": self.by, **times, **why}


def read_hold(scope: str, found: Mapping[str, Any]) -> Hold:
    """Read one hold from its JSON. Fields for people may be missing: older versions do not write them."""
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
    """Read the holds of a region from Redis' flat list."""
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {scope.decode(): read_hold(scope.decode(), json.loads(text)) for scope, text in pairs}


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
