"""What goes out, what comes back, and what it was judged to be: plain values between the steps of one attempt.

Personal data and secrets stand in bodies and headers, so none of these shows its body or headers in a repr.
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
"""The empty mapping, shared."""

_SUCCESS = range(200, 300)

_SCHEMES: dict[Auth, str] = {"bearer": "Bearer", "api_key": "api_key"}

FILE_PATHS: Mapping[str, str] = MappingProxyType(
    {
        "transactional": "/v4.1/file/transactional.json",
        "contact": "/v4.1/file/contact.json",
        "historical": "/v4.1/file/historical.json",
        "activity": "/v4.1/file/activity.json",
    }
)
"""Family → path below the API's host. Only contact's is written in a source, activity's is a guess: overridable."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, whole but for its Authorization header, which `http` adds at the last moment."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    auth: Auth


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, or how nothing did.

    `status` is HTTP's, None where no status line arrived; `headers` are found by lower-case keys. `failure` is None
    for a whole answer, `unreachable` when nothing went out and `lost_answer` when something did; then `detail` says
    why, in words without data. `at_proxy`: the egress proxy failed, and CustomerGauge was not reached at all.
    `truncated`: the body was larger than the client reads. `ms` is how long it all took.
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
        """Whether its status is one of success."""
        return self.status in _SUCCESS


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one answer, with what of the answer is worth keeping: bounded, personal data taken out.

    `result` is what the job's `read_result` reads; `retry_after_s` is set for `throttled` only, if it was told.
    `at_proxy` is set for `unreachable` only: the egress proxy failed.
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
        """Fill a region into the three templates, which may carry a path and a slash at their end.

        Source: `docs/customergauge.md`, "Endpoints"; the slash after `records` and `personal-link` is theirs.
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
            _file_paths={**FILE_PATHS, **(file_paths or {})},
        )

    def file(self, family: str) -> str:
        """Return the URL to which files of a family are posted and where their statistics are read."""
        return f"{self._api}/{self._file_paths[family].lstrip('/')}"

    def file_delete(self, upload_id: int) -> str:
        """Return the URL that stands for one upload."""
        return f"{self._api}/v4.1/file.json?id={upload_id}"


def credential_header(auth: Auth, secret: str) -> str:
    """Write the Authorization header: `Bearer <token>` or `api_key <key>`; nothing for a request that has none."""
    return f"{_SCHEMES[auth]} {secret}" if auth in _SCHEMES else ""


def common_headers(job_id: str, content_type: str | None = None) -> dict[str, str]:
    """Return what every request of a job carries; the key is sent should the receiver ever honour it."""
    headers = {"Accept": "application/json", "Idempotency-Key": job_id}
    return headers | ({"Content-Type": content_type} if content_type else {})
