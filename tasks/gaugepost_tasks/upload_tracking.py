"""Decide what follows from a look at the upload statistics, until CustomerGauge has processed the file. Pure.

When the answer to an upload is lost, the worker looks the file up by its unique name. It sends the file again only
after three looks without it, because the listing may be slow. If the file did arrive, CustomerGauge refuses the second
upload of that name (400103), and the job counts as delivered.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gaugepost.files import read_messages
from gaugepost.transitions import Decision, Delivered, Parked, Phase, Resend, Unknown
from gaugepost.verdict import Verdict
from gaugepost_tasks.backoff import poll_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost_tasks.endpoints.upload_statistics import Upload

GIVE_UP_S = 24 * 3600.0
"""How long a worker looks for a file. Then an accepted file is delivered with a warning, any other is unknown."""
LOOKS_UNTIL_ABSENT = 3

NEVER_PROCESSED = "CustomerGauge's statistics did not show within 24 h that it was processed"
NEVER_FOUND_OUT = "CustomerGauge's statistics could not be read for 24 h: it may have arrived"
_REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})
_REASONS = {Phase.LOOKUP: Verdict.LOST_ANSWER.value, Phase.PROCESSING: Phase.PROCESSING.value}


@dataclass(frozen=True, slots=True)
class RowRange:
    """The rows of the user's file that one part holds.

    `first`: number of its first row, from 1. `count`: number of rows. `base`: the number that CustomerGauge gives to
    the first record of a file; both documented samples begin at 2.
    """

    first: int
    count: int
    base: int = 2


@dataclass(frozen=True, slots=True)
class Look:
    """The outcome of one look.

    `readable`: the endpoint returned statistics. `found`: the upload, None if it is not listed. `looks`: earlier looks
    in this phase. `sent_s_ago`: seconds since the upload. `rand`: in [0, 1). `poll`: waits between looks, in seconds.
    """

    phase: Phase
    readable: bool
    found: Upload | None
    looks: int
    sent_s_ago: float
    rand: float
    poll: Sequence[float]


def decide_on_upload(look: Look, rows: RowRange) -> Decision:
    """Decide what becomes of a file after a look. No look counts as an attempt."""
    if look.found is not None and look.found.processed:
        return Decision(Delivered(result(look.found, rows), ()), counted=False)
    if look.sent_s_ago >= GIVE_UP_S and look.phase is Phase.PROCESSING:
        return Decision(Delivered({}, (NEVER_PROCESSED,)), counted=False)
    if look.phase is Phase.LOOKUP and look.readable and look.found is None and look.looks + 1 >= LOOKS_UNTIL_ABSENT:
        return Decision(Resend(), counted=False)
    if look.sent_s_ago >= GIVE_UP_S and look.phase is Phase.LOOKUP and not look.readable:
        return Decision(Unknown(NEVER_FOUND_OUT), counted=False)
    phase = look.phase if look.found is None else Phase.PROCESSING
    delay = poll_ms(look.poll, look.looks + 1, look.rand)
    return Decision(Parked(delay, _REASONS[phase], phase), counted=False)


def is_answered(status: int | None) -> bool:
    """Return whether a request for statistics shows that the endpoint works. This lifts the hold that it probes."""
    return status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _REFUSALS


def result(upload: Upload, rows: RowRange) -> dict[str, Any]:
    """Return the job's result: counts, and messages with the row numbers of the user's own file.

    `messages`: texts such as `Record 2017: reason`. `rejected`: sorted row numbers of the messages that name a row.
    """
    row_messages = read_messages(upload.messages, rows.count, rows.first, record_number_base=rows.base)
    messages = [one.text if one.row is None else f"Record {one.row}: {one.text}" for one in row_messages]
    rejected = sorted({one.row for one in row_messages if one.row is not None})
    return upload.result() | {"messages": messages, "rejected": rejected, "upload_id": upload.id}
