"""PUT Records and PUT Personal Link: check one record against an inbound mapping.

The checks follow the order of the documented answers: configuration given, mapping found, its type, required headings,
values, and last the campaign. Headings that the mapping does not know are dropped silently, as CustomerGauge does
after a rename of a field.
"""

import re
import secrets

from gaugepost_simulator import message_texts
from gaugepost_simulator.knobs import Knobs, MappingKnobs, Region
from gaugepost_simulator.messages import Errors, Reply, invalid, json_reply, refusal
from gaugepost_simulator.state import Answer, Call, SimulatorState

# Short names of mappings in older accounts. With the knob any_mapping they exist without an entry in mappings.
BUILT_IN = {
    "account": MappingKnobs("Account"),
    "contact": MappingKnobs("Contact"),
    "multi-object": MappingKnobs("Multi-Object"),
    "survey-data": MappingKnobs("Survey Data"),
    "external-response": MappingKnobs("External Response"),
    "account-alias": MappingKnobs("Account Alias"),
}
_BY_NAME = {"Account": ("Account Name",), "Account Alias": ("Account Name", "Alias")}
_LINK_TYPES = ("Multi-Object", "Survey Data")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_PHONE = re.compile(r"[0-9 ()+-]+")


def put_record(state: SimulatorState, call: Call) -> Answer:
    """PUT /records/: store the record and answer 200 with an empty body."""
    checked = _checked_record(state, call, link=False)
    if isinstance(checked, Reply):
        return Answer(checked)
    effect = state.commit(call, "record", checked, configuration=_configuration(call))
    return Answer(Reply(200), effect)


def put_personal_link(state: SimulatorState, call: Call) -> Answer:
    """PUT /personal-link/: store the record and answer 200 with a survey number and two links."""
    checked = _checked_record(state, call, link=True)
    if isinstance(checked, Reply):
        return Answer(checked)
    refused = _campaign_refusal(state, call.route.region, str(checked.get("Email") or ""))
    if refused:
        return Answer(refusal(400, refused))
    data = _link(state, call.route.region)
    effect = state.commit(call, "personal_link", checked, configuration=_configuration(call), result=data)
    return Answer(json_reply(200, {"data": data}), effect)


def _configuration(call: Call) -> str:
    return str(call.input.get("configuration") or "")


def _checked_record(state: SimulatorState, call: Call, *, link: bool) -> dict[str, object] | Reply:
    configuration = _configuration(call)
    if not configuration:
        errors = {"configuration": ["The configuration field is required."]}
        return invalid(errors, "The given data was invalid.")
    mapping = _mapping(state.knobs, configuration, call.route.region)
    if mapping is None:
        return refusal(404, message_texts.UNKNOWN_MAPPING.format(configuration))
    if link and mapping.type not in _LINK_TYPES:
        return invalid({"configuration": [message_texts.WRONG_TYPE.format(configuration)]})
    record = {k: v for k, v in call.record.items() if mapping.fields is None or k in mapping.fields}
    errors = _missing(record, mapping) or _bad_values(record)
    return invalid(errors) if errors else record


def _mapping(knobs: Knobs, configuration: str, region: Region) -> MappingKnobs | None:
    listed = knobs.mappings.get(configuration)
    if listed is not None:
        return listed if region in listed.regions else None
    return BUILT_IN.get(configuration, MappingKnobs()) if knobs.any_mapping else None


def _missing(record: dict[str, object], mapping: MappingKnobs) -> Errors:
    required = [*_BY_NAME.get(mapping.type, ()), *mapping.required]
    errors = {name: [f"The {name} field is required."] for name in required if _empty(record, name)}
    if mapping.type not in _BY_NAME and _empty(record, "Email") and _empty(record, "Phone"):
        errors.setdefault("Email", ["The Email field is required when Phone is not present."])
        errors.setdefault("Phone", ["The Phone field is required when Email is not present."])
    return errors


def _bad_values(record: dict[str, object]) -> Errors:
    errors = {
        name: [f"The {name} must be a string."] for name, value in record.items() if isinstance(value, (dict, list))
    }
    if not _empty(record, "Email") and not _EMAIL.fullmatch(str(record["Email"])):
        errors["Email"] = ["The Email must be a valid email address."]
    if not _empty(record, "Phone") and not _PHONE.fullmatch(str(record["Phone"])):
        errors["Phone"] = ["The Phone format is invalid."]
    return errors


def _empty(record: dict[str, object], name: str) -> bool:
    value = record.get(name)
    return value is None or (isinstance(value, str) and not value.strip())


def _campaign_refusal(state: SimulatorState, region: Region, email: str) -> str | None:
    knobs = state.knobs
    if email in knobs.no_campaign_emails:
        return message_texts.NO_CAMPAIGN
    if email in knobs.duplicate_rule_emails:
        return message_texts.DUPLICATE_RULE
    invited = (region, email) in state.invited
    if email in knobs.duplicate_emails or (knobs.repeat_email_is_duplicate and email and invited):
        return message_texts.DUPLICATE
    state.invited.add((region, email))
    return None


def _link(state: SimulatorState, region: Region) -> dict[str, object]:
    number, code = state.survey_numbers[region], secrets.token_hex(6)
    state.survey_numbers[region] += 1
    return {
        "number_customergauge": number,
        "survey_link": f"https://survey.{region}.customergauge.com/r/{code}",
        "survey_link_short": f"https://cust.xx/{code}",
    }
