"""Requests, answers and judgements: the values that pass between the steps of one attempt.

Bodies and headers hold personal data and secrets, so no `repr` shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gaugepost.verdict import Verdict

Auth = Literal["bearer", "api_key", "none"]
Failure = Literal["unreachable", "lost_answer"]

EMPTY_MAPPING: Mapping[str, Any] = MappingProxyType({})
"""One shared, read-only empty mapping."""

_SUCCESS = range(200, 300)

_SCHEMES: dict[Auth, str] = {"bearer": "Bearer", "api_key": "api_key"}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request without its Authorization header. `http` adds that header just before it sends."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    auth: Auth


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request, or why there is none.

    * `status`: HTTP status; None if no status line arrived.
    * `headers`: found by lower-case keys.
    * `failure`: None for an answer; `unreachable` if no byte was sent, `lost_answer` if one was.
    * `detail`: the cause of the failure, without data.
    * `ms`: duration of the exchange in milliseconds.
    * `truncated`: the body was larger than the client reads.
    * `at_proxy`: the egress proxy failed, so the request did not reach CustomerGauge.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=lambda: EMPTY_MAPPING, repr=False)
    body: bytes = field(default=b"", repr=False)
    failure: Failure | None = None
    detail: str = ""
    ms: int = 0
    truncated: bool = False
    at_proxy: bool = False

    @property
    def ok(self) -> bool:
        """Return whether the status is 2xx."""
        return self.status in _SUCCESS


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one answer, with the facts to keep: limited in size, personal data removed.

    `result`: input of the job's `read_result`. `retry_after_s`: for `throttled`, if the answer has a Retry-After.
    `at_proxy`: for `unreachable`, if the egress proxy failed.
    """

    verdict: Verdict
    message: str = ""
    field_errors: Mapping[str, Sequence[str]] = field(default_factory=lambda: EMPTY_MAPPING)
    result: Mapping[str, Any] = field(default_factory=lambda: EMPTY_MAPPING)
    warnings: tuple[str, ...] = ()
    retry_after_s: float | None = None
    at_proxy: bool = False


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The URLs of one region's endpoints."""

    token: str
    records: str
    personal_link: str
    close_loop: str
    response: str
    _api: str
    _file_paths: Mapping[str, str]

    @classmethod
    def of(
        cls,
        region: str,
        *,
        auth_url: str = "https://auth.{region}.customergauge.com",
        imports_url: str = "https://imports.api.{region}.customergauge.com",
        api_url: str = "https://api.{region}.customergauge.com",
        file_paths: Mapping[str, str] | None = None,
    ) -> Endpoints:
        """Put a region into the three URL templates. A template may have a path, and a slash at its end.

        Source: `docs/customergauge.md`, "Endpoints". CustomerGauge documents the slash after `records` and
        `personal-link`.
        """
        auth, imports, api = (
            template.replace("{region}", region).rstrip("/") for template in (auth_url, imports_url, api_url)
        )
        return cls(
            token=f"{auth}/oauth2/token",
            records=f"{imports}/records/",
            personal_link=f"{imports}/personal-link/",
            close_loop=f"{api}/v7/rest/close-loop/status",
            response=f"{api}/v4.1/transactions/response.json",
            _api=api,
            _file_paths=file_paths or {},
        )

    def file(self, family: str) -> str:
        """Return the URL of a file family: POST uploads a file, GET returns the statistics.

        Without a path from the settings it is the usual one. Only that of `contact` is documented.
        """
        path = self._file_paths.get(family, f"/v4.1/file/{family}.json")
        return f"{self._api}/{path.lstrip('/')}"

    def file_delete(self, upload_id: int) -> str:
        """Return the URL that deletes one upload."""
        return f"{self._api}/v4.1/file.json?id={upload_id}"


def credential_header(auth: Auth, secret: str) -> str:
    """Return the Authorization header `Bearer <token>` or `api_key <key>`; "" for a request without one."""
    return f"{_SCHEMES[auth]} {secret}" if auth in _SCHEMES else ""


def common_headers(job_id: str, content_type: str | None = None) -> dict[str, str]:
    """Return the headers of every request of a job. CustomerGauge does not document that it uses Idempotency-Key."""
    headers = {"Accept": "application/json", "Idempotency-Key": job_id}
    return headers | ({"Content-Type": content_type} if content_type else {})
