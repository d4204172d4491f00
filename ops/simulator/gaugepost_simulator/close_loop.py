"""PUT Close the Loop: set the status of a case, with a note and an assignee.

By default a case may change from any status to any other. Knobs simulate account switches that forbid this, because no
source documents the answer. An invalid assignee does not fail the call: CustomerGauge notes the attempt on the case.
"""

import re
from datetime import UTC, datetime, timedelta

from gaugepost_simulator import message_texts
from gaugepost_simulator.knobs import CloseLoopKnobs
from gaugepost_simulator.messages import Errors, invalid, json_reply, refusal
from gaugepost_simulator.state import Answer, Call, SimulatorState

_STATUSES = ("open", "progress", "closed")
_FIELDS = ("number_customergauge", "status", "note", "happened_at", "assignee")
# "progressive only": status → allowed next statuses. None is a case without a status.
_PROGRESSIVE = {None: ("open",), "open": ("progress",), "progress": ("closed",), "closed": ("open",)}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
# The time zone of happened_at is not documented: accept a time that is now in any time zone.
_ZONES = timedelta(hours=14)


def put_status(state: SimulatorState, call: Call) -> Answer:
    """PUT /v7/rest/close-loop/status: answer 200 with a boolean for each part."""
    fields = {name: call.input[name] for name in _FIELDS if call.input.get(name) not in (None, "")}
    rules = state.knobs.close_loop
    errors = _missing(fields, rules) or _bad_values(fields)
    if errors:
        return Answer(invalid(errors))
    case = (call.route.region, str(fields["number_customergauge"]))
    if case[1] in rules.unknown_cases:
        return Answer(refusal(404, message_texts.UNKNOWN_CASE))
    before, after = state.cases.get(case), str(fields["status"])
    if rules.progressive_only and after not in _PROGRESSIVE[before]:
        text = f"The status can not be changed from {before or 'none'} to {after}."
        return Answer(invalid({"status": [text]}))
    data = _parts(fields, rules)
    if data.get("status"):
        state.cases[case] = after
    effect = state.commit(call, "close_loop", fields, result=data)
    return Answer(json_reply(200, {"data": data}), effect)


def _missing(fields: dict[str, object], rules: CloseLoopKnobs) -> Errors:
    required = ["number_customergauge", "status", *(["note"] if rules.comment_required else [])]
    return {name: [f"The {name.replace('_', ' ')} field is required."] for name in required if name not in fields}


def _bad_values(fields: dict[str, object]) -> Errors:
    errors: Errors = {}
    if fields["status"] not in _STATUSES:
        errors["status"] = ["The selected status is invalid."]
    if not isinstance(fields.get("note", ""), str):
        errors["note"] = ["The note must be a string."]
    if isinstance(fields["number_customergauge"], (dict, list, bool)):
        errors["number_customergauge"] = ["The number customergauge must be a string."]
    if "happened_at" in fields:
        errors |= _bad_time(str(fields["happened_at"]))
    return errors


def _bad_time(text: str) -> Errors:
    try:
        happened = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return {"happened_at": ["The happened at does not match the format Y-m-d H:i:s."]}
    if happened > datetime.now(UTC) + _ZONES:
        return {"happened_at": ["The happened at must be a date before or equal to now."]}
    return {}


def _parts(fields: dict[str, object], rules: CloseLoopKnobs) -> dict[str, bool]:
    parts: dict[str, bool] = {}
    for part in ("status", "note", "assignee"):
        if part in fields:
            parts[part] = part not in rules.false_parts and not (part == "assignee" and _bad_assignee(fields))
        elif rules.unsent_parts != "omit":
            parts[part] = rules.unsent_parts == "true"
    return parts


def _bad_assignee(fields: dict[str, object]) -> bool:
    return not _EMAIL.fullmatch(str(fields["assignee"]))
