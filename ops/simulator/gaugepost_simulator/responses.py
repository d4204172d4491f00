"""POST Response (v4.1): store one survey response, a form of key=value.

The answer has no id and there is no duplicate rule. So the same response, sent twice, is stored twice: two effects.
"""

import re
from datetime import datetime

from gaugepost_simulator import message_texts
from gaugepost_simulator.messages import data_reply, error_reply
from gaugepost_simulator.state import Answer, Call, SimulatorState

_STATUSES = ("OPEN", "IN-PROGRESS", "PROGRESS", "CLOSED", "CLOSE")
_SCORE = re.compile(r"[0-9]|10")
_REASONS = re.compile(r"\d+(,\d+)*")
_DATES = ("EmailSentDate", "SurveyCompletedDate")


def post_response(state: SimulatorState, call: Call) -> Answer:
    """POST /v4.1/transactions/response: store the response and answer ``{"Data": true}``."""
    fields = call.form.fields
    error = _error(fields, state)
    if error:
        return Answer(error_reply(400, *error, xml=call.route.xml))
    effect = state.commit(call, "response", dict(fields))
    return Answer(data_reply(data=True, xml=call.route.xml), effect)


def _error(fields: dict[str, str], state: SimulatorState) -> tuple[int, str] | None:
    for name in state.knobs.response_required:
        if not fields.get(name, "").strip():
            return 400003, message_texts.EMPTY_FIELD.format(name.lower())
    if not _workflow_status_known(fields.get("WorkflowStatus", ""), extended=state.knobs.extended_workflow_status):
        return 400011, "Workflow status does not exist"
    if not _values_fit(fields):
        return 300001, "Invalid arguments supplied"
    return None


def _workflow_status_known(status: str, *, extended: bool) -> bool:
    return status in ("", *_STATUSES) or (extended and re.fullmatch(r"\d{1,2}", status) is not None)


def _values_fit(fields: dict[str, str]) -> bool:
    def fits(name: str, pattern: re.Pattern[str]) -> bool:
        return not fields.get(name) or pattern.fullmatch(fields[name]) is not None

    return (
        fits("NetPromoterScore", _SCORE)
        and fits("ReasonCode", _REASONS)
        and fields.get("FollowUpRequired", "") in ("", "Y", "N")
        and all(_is_date(fields[name]) for name in _DATES if fields.get(name))
    )


def _is_date(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - only the format matters
    except ValueError:
        return False
    return True
