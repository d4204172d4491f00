"""The verdicts: named classes of CustomerGauge's answers. docs/policy.md says what each means and what follows."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """The class of an answer, or of a failure to get one. The policy has one row for each."""

    DELIVERED = "delivered"
    DELIVERED_IN_PART = "delivered_in_part"
    UNAUTHENTICATED = "unauthenticated"
    REFUSED_CREDENTIALS = "refused_credentials"
    NO_CAMPAIGN = "no_campaign"
    DUPLICATE = "duplicate"
    UNKNOWN_MAPPING = "unknown_mapping"
    WRONG_MAPPING_TYPE = "wrong_mapping_type"
    MAPPING_DRIFT = "mapping_drift"
    MISSING_FIELD = "missing_field"
    INVALID_VALUE = "invalid_value"
    UNRECOGNISED_422 = "unrecognised_422"
    UNRECOGNISED_400 = "unrecognised_400"
    UNRECOGNISED_404 = "unrecognised_404"
    UNRECOGNISED_200 = "unrecognised_200"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    LOST_ANSWER = "lost_answer"
    UNREADABLE_SUCCESS = "unreadable_success"
    TOO_LARGE = "too_large"
    BAD_FILE = "bad_file"
    UNREADABLE = "unreadable"
