"""Knobs: switches for behaviour that CustomerGauge's documentation leaves open.

Each default is the most likely reading of the published pages. A client must also cope with every other value. Nested
objects are changed member by member (RFC 7396), so a test can change one knob and leave the others.
"""

from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

from gaugepost_simulator.checking import SettingError, merge_patch, read

Region = Literal["eu", "us", "au"]
Endpoint = Literal[
    "token", "records", "personal_link", "close_loop", "response", "file", "statistics", "file_delete"
]  # fmt: skip
LatencyScope = Literal[
    "all", "token", "records", "personal_link", "close_loop", "response", "file", "statistics", "file_delete"
]  # fmt: skip
MappingType = Literal["Account", "Contact", "Multi-Object", "Survey Data", "External Response", "Account Alias"]
REGIONS: tuple[Region, ...] = get_args(Region)

_SECONDS = {"at_least": 0}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that one region accepts. A region without an entry accepts none."""

    client_id: str = ""
    client_secret: str = ""
    api_key: str = ""


@dataclass(frozen=True, slots=True)
class MappingKnobs:
    """An inbound mapping.

    ``type``: data type. ``fields``: headings that it knows; None knows any. ``required``: headings that a record needs.
    ``regions``: where it exists.
    """

    type: MappingType = "Multi-Object"
    fields: tuple[str, ...] | None = None
    required: tuple[str, ...] = ()
    regions: tuple[Region, ...] = REGIONS


@dataclass(frozen=True, slots=True)
class CloseLoopKnobs:
    """Account switches of Close the Loop, and the booleans in its answer."""

    progressive_only: bool = False
    comment_required: bool = False
    false_parts: tuple[Literal["status", "note", "assignee"], ...] = ()
    unsent_parts: Literal["true", "false", "omit"] = "true"
    unknown_cases: tuple[str, ...] = ()


def default_credentials() -> dict[Region, Credentials]:
    """Return ``eu-client``, ``eu-secret``, ``eu-key`` and so on: no secrets, and a mix-up of regions is obvious."""
    return {region: Credentials(f"{region}-client", f"{region}-secret", f"{region}-key") for region in REGIONS}


@dataclass(frozen=True, slots=True)
class Knobs:
    """All knobs. `ops/simulator/README.md` explains each. Times are in seconds unless the name says otherwise."""

    credentials: dict[Region, Credentials] = field(default_factory=default_credentials)
    token_lifetime: float = field(default=3600.0, metadata=_SECONDS)
    token_expires_in_shown: bool = True
    invalid_key_code: Literal[200000, 2000] = 200000
    latency_ms: dict[LatencyScope, float] = field(default_factory=dict)
    honour_idempotency_key: bool = False

    any_mapping: bool = True
    mappings: dict[str, MappingKnobs] = field(default_factory=dict)
    no_campaign_emails: tuple[str, ...] = ()
    duplicate_emails: tuple[str, ...] = ()
    duplicate_rule_emails: tuple[str, ...] = ()
    repeat_email_is_duplicate: bool = False
    close_loop: CloseLoopKnobs = field(default_factory=CloseLoopKnobs)
    response_required: tuple[str, ...] = ("Email",)
    extended_workflow_status: bool = False

    upload_interval: float = field(default=0.0, metadata=_SECONDS)
    upload_interval_mode: Literal["off", "queue", "refuse"] = "off"
    upload_interval_scope: Literal["region", "endpoint"] = "region"
    already_processed_by: Literal["name", "content", "both", "either", "off"] = "name"
    upload_reply_id: bool = False
    processing_seconds: float = field(default=0.0, metadata=_SECONDS)
    processing_states: tuple[str, ...] = ("Waiting", "Processing")
    statistics_delay: float = field(default=0.0, metadata=_SECONDS)
    record_number_base: int = 2
    reject_rows: tuple[int, ...] = ()
    reject_bad_emails: bool = True
    csv_delimiter: str = ","

    def to_json(self) -> dict[str, object]:
        """Return the knobs as plain JSON types."""
        return asdict(self)

    def changed(self, patch: object) -> "Knobs":
        """Return new knobs with a merge patch applied.

        Raises :class:`SettingError` that names a knob which does not exist or has a wrong value.
        """
        if not isinstance(patch, dict):
            raise SettingError(name="knobs", problem="must be an object")
        changed = read(Knobs, merge_patch(self.to_json(), patch))
        if len(changed.csv_delimiter) != 1:
            raise SettingError(name="csv_delimiter", problem="must be one character")
        if any(value < 0 for value in changed.latency_ms.values()):
            raise SettingError(name="latency_ms", problem="must be at least 0")
        return changed

    def latency(self, endpoint: Endpoint) -> float:
        """Return the seconds that an endpoint waits before it handles a request."""
        return self.latency_ms.get(endpoint, self.latency_ms.get("all", 0.0)) / 1000
