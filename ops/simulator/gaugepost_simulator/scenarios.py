"""Scenario words: a word in the data of one job asks for a fault, without knobs or the control API.

The word goes into one of these places:

========================  ==================================================================================
record, personal link     the ``configuration``; the record's ``Simulate`` field; its ``Email``, as WORD@example.com
close the loop            the ``note``, as ``simulate: WORD``; the ``number_customergauge``
response                  the ``Simulate`` field; the ``Email``, as WORD@example.com
file                      the file's name, as ``...simulate-WORD....csv``
========================  ==================================================================================

Words (case does not matter; blanks, dashes and underscores are the same):

=====================================================  ====================================================
``400`` ... ``599``                                    that status, with the endpoint's usual kind of body
``html``, ``broken json``                              200 with HTML or broken JSON
``slow``, ``trickle``                                  the answer comes after 5 s, or bit by bit over 5 s
``cut before``, ``cut after``, ``short body``          the answer is lost, before or after the effect
``unrecognised`` (``422``, ``400``, ``404``, ``200``)  an undocumented answer
``unknown mapping``, ``wrong type``, ``drifted``       record and personal link: 404, 422, 422
``no campaign``, ``duplicate``, ``duplicate rule``     personal link: the three 400 texts
``unknown case``, ``partial``                          close the loop: 404; 200 with a false assignee
``already processed``                                  file: 400103
=====================================================  ====================================================

Seconds may follow the word (``slow 40s``; ``429 30s`` sets Retry-After), and a count (``once``, ``twice``,
``3 times``). After so many faults the endpoint handles the job. The simulator counts for each Idempotency-Key, else for
each body. It counts a word in ``configuration`` or ``number_customergauge`` once for all jobs with that value.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gaugepost_simulator import message_texts
from gaugepost_simulator.faults import Fault
from gaugepost_simulator.knobs import Endpoint
from gaugepost_simulator.state import Call, SimulatorState

_IMPORTS: tuple[Endpoint, ...] = ("records", "personal_link")
_NEW_TEXT = "The request could not be handled at this moment."


def _status(code: int, body: object) -> Fault:
    return Fault("status", code=code, body=body)


def _field_error(name: str, text: str) -> Fault:
    return _status(422, {"message": text, "errors": {name: [text]}})


# {} in a text is replaced by the job's configuration.
_MEANINGS: dict[str, tuple[tuple[Endpoint, ...], Fault]] = {
    "html": ((), Fault("html")),
    "broken-json": ((), Fault("broken_json")),
    "slow": ((), Fault("slow")),
    "trickle": ((), Fault("trickle")),
    "cut-before": ((), Fault("cut_before_commit")),
    "cut-after": ((), Fault("cut_after_commit")),
    "short-body": ((), Fault("short_body")),
    "unknown-mapping": (_IMPORTS, _status(404, {"message": message_texts.UNKNOWN_MAPPING})),
    "wrong-type": (_IMPORTS, _field_error("configuration", message_texts.WRONG_TYPE)),
    "drifted": (_IMPORTS, _field_error("Email", "The Email field is required.")),
    "no-campaign": (("personal_link",), _status(400, {"message": message_texts.NO_CAMPAIGN})),
    "duplicate": (("personal_link",), _status(400, {"message": message_texts.DUPLICATE})),
    "duplicate-rule": (("personal_link",), _status(400, {"message": message_texts.DUPLICATE_RULE})),
    "unknown-case": (("close_loop",), _status(404, {"message": message_texts.UNKNOWN_CASE})),
    "partial": (
        ("close_loop",),
        Fault("status", code=200, body={"data": {"status": True, "note": True, "assignee": False}}, commit=True),
    ),
    "already-processed": (
        ("file",),
        _status(400, {"Error": {"Message": message_texts.ALREADY_PROCESSED, "Code": 400103}}),
    ),
}
_GRAMMAR = (
    r"(?P<word>[45]\d\d|unrecognised(?:-(?P<code>200|400|404|422))?|"
    + "|".join(sorted(_MEANINGS, key=len, reverse=True))
    + r")(?:-(?P<seconds>\d+(?:\.\d+)?)s)?(?:-(?P<times>once|twice|\d+-times))?"
)
_WHOLE = re.compile(_GRAMMAR)
_IN_FILENAME = re.compile(rf"simulate-{_GRAMMAR}(?![a-z0-9])")
_NOTE = "simulate:"
_EMAIL_DOMAIN = "@example.com"


@dataclass(frozen=True, slots=True)
class _WordLocation:
    """A text that may hold a word.

    ``explicit``: refuse a text that is no word. ``shared``: count its faults for all jobs together.
    """

    text: str
    explicit: bool = False
    shared: bool = False


def pick(state: SimulatorState, call: Call) -> Fault | None:
    """Return the fault of a job's scenario word, None without a word or after its count."""
    for location in _locations(call):
        text = re.sub(r"[\s_-]+", "-", location.text.strip().lower())
        match = (_IN_FILENAME.search if call.route.endpoint == "file" else _WHOLE.fullmatch)(text)
        fault = _fault_of(match, call) if match else None
        if fault is None and location.explicit:
            return _unknown_word(call, location.text)
        if match and fault and _within_count(state, call, location, match):
            return fault
    return None


def _locations(call: Call) -> Iterator[_WordLocation]:
    endpoint = call.route.endpoint
    if endpoint in _IMPORTS:
        yield _WordLocation(str(call.input.get("configuration", "")), shared=True)
        yield from _field_locations(call.record)
    elif endpoint == "close_loop":
        yield _WordLocation(str(call.input.get("number_customergauge", "")), shared=True)
        note = str(call.input.get("note", ""))
        if note.lower().startswith(_NOTE):
            yield _WordLocation(note[len(_NOTE) :], explicit=True)
    elif endpoint == "response":
        yield from _field_locations(dict(call.form.fields))
    elif endpoint == "file" and "file" in call.form.files:
        yield _WordLocation(call.form.files["file"][0])


def _field_locations(fields: dict[str, object]) -> Iterator[_WordLocation]:
    if "Simulate" in fields:
        yield _WordLocation(str(fields["Simulate"]), explicit=True)
    email = str(fields.get("Email", ""))
    if email.endswith(_EMAIL_DOMAIN):
        yield _WordLocation(email.removesuffix(_EMAIL_DOMAIN))


def _fault_of(match: re.Match[str], call: Call) -> Fault | None:
    word, seconds = match["word"], match["seconds"]
    if word.startswith("unrecognised"):
        return _unrecognised(int(match["code"] or 0), call)
    if word.isdigit():
        retry_after = seconds or ("1" if word == "429" else None)
        return Fault("status", code=int(word), headers={"Retry-After": retry_after} if retry_after else {})
    endpoints, fault = _MEANINGS[word]
    if endpoints and call.route.endpoint not in endpoints:
        return None
    if call.route.endpoint in _IMPORTS:
        fault = replace(fault, body=_fill_in(fault.body, str(call.input.get("configuration", ""))))
    return replace(fault, seconds=float(seconds)) if seconds else fault


def _fill_in(body: object, configuration: str) -> object:
    if isinstance(body, dict):
        return {name: _fill_in(value, configuration) for name, value in body.items()}
    if isinstance(body, list):
        return [_fill_in(value, configuration) for value in body]
    return body.replace("{}", configuration) if isinstance(body, str) else body


def _unrecognised(code: int, call: Call) -> Fault:
    if call.route.answer_format == "v41":
        code = code or 400
        error = {"Error": {"Message": _NEW_TEXT, "Code": 499999}}
        return _status(code, {"Data": False} if code == 200 else error)  # noqa: PLR2004 - the HTTP status OK
    code = code or 422
    if code == 200:  # noqa: PLR2004 - the HTTP status OK
        return _status(code, {"data": {}})
    errors = {"errors": {"record": [_NEW_TEXT]}} if code == 422 else {}  # noqa: PLR2004 - the HTTP status
    return _status(code, {"message": _NEW_TEXT, **errors})


def _unknown_word(call: Call, text: str) -> Fault:
    message = f"The simulator knows no scenario [{text.strip()}] for this kind of job."
    if call.route.answer_format == "v41":
        return _status(400, {"Error": {"Message": message, "Code": 300001}})
    return _status(422, {"message": message, "errors": {"Simulate": [message]}})


def _within_count(state: SimulatorState, call: Call, location: _WordLocation, match: re.Match[str]) -> bool:
    times = match["times"]
    if times is None:
        return True
    job = location.text if location.shared else call.key or hash(call.request.body)
    counter_key = (call.route.region, call.route.endpoint, job, match[0])
    limit = {"once": 1, "twice": 2}.get(times) or int(times.partition("-")[0])
    if state.scenario_hits[counter_key] >= limit:
        return False
    state.scenario_hits[counter_key] += 1
    return True
