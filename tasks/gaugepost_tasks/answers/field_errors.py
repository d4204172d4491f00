"""Find out what a 422 complains about: a field that the job has, a field that it lacks, or a value.

If the answer calls a field required although the job has it, the inbound mapping no longer knows this name. The job is
right and the mapping has drifted. Names are compared without case, spaces and punctuation, because Laravel writes
`number_customergauge` as "number customergauge".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gaugepost_tasks.answers.parsed_answer import Refusal

_REQUIRED = re.compile(r"\brequired\b", re.IGNORECASE)
_SUBJECT = re.compile(r"^\s*the (.{1,255}?) field is required", re.IGNORECASE)
_ABSENT = re.compile(r"\bwhen (?:(.{1,255}?) (?:is|are) not present|none of (.{1,255}?) are present)", re.IGNORECASE)
_MARKS = re.compile(r"[\W_]+")


def verdict_on_fields(refusal: Refusal, sent_fields: Mapping[str, object]) -> Verdict:
    """Name a 422. `sent_fields`: name → value, as sent.

    Drift comes before a missing field. If a mapping no longer knows `Email`, CustomerGauge answers "Email is required
    when Phone is not present" and "Phone is required when Email is not present"; yet the job may do without a Phone.
    A missing field comes before an invalid value, because CustomerGauge may judge the value again with the field.
    """
    required = [_missing_names(name, text) for name, text in _field_texts(refusal) if _REQUIRED.search(text)]
    present = {_normalise(name) for name, value in sent_fields.items() if _has_value(value)}
    match required, bool(refusal.field_errors):
        case [], False:
            return Verdict.UNRECOGNISED_422
        case [], True:
            return Verdict.INVALID_VALUE
        case _:
            return Verdict.MAPPING_DRIFT if present & set().union(*required) else Verdict.MISSING_FIELD


def _field_texts(refusal: Refusal) -> Iterable[tuple[str, str]]:
    """Return (field, text) of each field error. Use the message only if there are none: it repeats the first one."""
    if not refusal.field_errors:
        return [("", refusal.message)] if _SUBJECT.search(refusal.message) else []
    return [(name, text) for name, texts in refusal.field_errors.items() for text in texts]


def _missing_names(field: str, text: str) -> set[str]:
    """Return the normalised names of all fields that a text calls missing."""
    names = [field, re.sub(r"^record(?:\.|\[)", "", field)]
    names += _SUBJECT.findall(text)
    for single, several in _ABSENT.findall(text):
        names += (single or several).split(" / ")
    return {_normalise(name) for name in names} - {""}


def _normalise(name: str) -> str:
    return _MARKS.sub("", name).casefold()


def _has_value(value: object) -> bool:
    return value is not None and (not isinstance(value, str) or bool(value.strip()))
