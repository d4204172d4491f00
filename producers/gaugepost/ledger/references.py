"""References of a job: the values by which `find` finds it, in one spelling each.

The index in Redis has keyed hashes of them (`Cipher.reference`), so it shows no value. lib/index.lua maintains it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed
from gaugepost.transitions import Delivered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from gaugepost.encryption import Cipher
    from gaugepost.jobs import JobBase
    from gaugepost.ledger.views import JobView
    from gaugepost.transitions import Decision

SORTS = ("key", "email", "phone", "case", "number", "file", "batch", "label")
"""All sorts of references; the ones with the fewest jobs for a value come first."""

NUMBER = "number_customergauge"
_HEADINGS = {"email": "email", "phone": "phone", "telephone": "phone"}
_LENGTHS = frozenset(map(len, _HEADINGS))
_NO_DIGIT = re.compile(r"\D+")
_NO_KEY = "."


def normalise(sort: str, value: str) -> str:
    """Return the one spelling of a value; empty if it cannot be a value of this sort."""
    match sort:
        case "email":
            return value.strip().casefold()
        case "phone":
            return _NO_DIGIT.sub("", value)
        case "case" | "number":
            digits = value.strip()
            return digits.lstrip("0") or "0" if digits.isascii() and digits.isdigit() else ""
        case _:
            return value


def values_of(field: Callable[[str], Any], result: Mapping[str, Any] | None = None) -> Iterator[tuple[str, str]]:
    """Yield the references of a job as (sort, value), in one spelling. `field`: returns a field of the job, or None."""
    if key := field("idempotency_key"):
        yield "key", key
    for heading, value in (field("record") or field("fields") or {}).items():
        if len(heading) in _LENGTHS and value and (sort := _HEADINGS.get(heading.lower())):
            yield sort, normalise(sort, str(value))
    if case := field(NUMBER):
        yield "case", normalise("case", str(case))
    if name := field("filename"):
        yield "file", name
    if batch := field("batch"):
        yield "batch", batch
    for label in field("labels") or ():
        yield "label", label
    if result and (number := result.get(NUMBER)) is not None:
        yield "number", normalise("number", str(number))


def hashes_of(values: Iterator[tuple[str, str]], cipher: Cipher) -> str:
    """Hash references in the form of the scripts: that of the idempotency key or `.`, then the others, each once."""
    key, others = _NO_KEY, ""
    for sort, value in values:
        digest = cipher.reference(sort, value) if value else ""
        if sort == "key":
            key = digest
        elif digest not in others:
            others += digest
    return key + others


def hash_values(values: Iterable[tuple[str, str]], cipher: Cipher) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return for each (sort, value in one spelling) the hashes that the index may have: one for each data key."""
    return tuple((sort, tuple(cipher.references(sort, value))) for sort, value in values)


def has_hashes(view: JobView, wanted: Sequence[tuple[str, Sequence[str]]], cipher: Cipher) -> bool:
    """Return whether a job has a reference with one of the hashes of each sort. Encrypted jobs cannot be compared."""
    if not wanted or view.sealed:
        return not wanted
    sorts = {sort for sort, _ in wanted}
    found = [(sort, value) for sort, value in values_of(view.job.get, view.result) if sort in sorts]
    has = {(sort, one) for sort, hashes in hash_values(found, cipher) for one in hashes}
    return all(any((sort, one) in has for one in hashes) for sort, hashes in wanted)


def job_hashes(job: JobBase, cipher: Cipher) -> str:
    """Hash the references of a job that is enqueued or edited."""
    return hashes_of(values_of(vars(job).get), cipher)


def stored_hashes(text: bytes, result: bytes, cipher: Cipher) -> str:
    """Hash the references of a stored job from its JSON and its result.

    A job that cannot be read, or that is encrypted with a key that this process lacks, has none: `find` finds its id.
    """
    try:
        job = json.loads(cipher.decrypt_job(text))
        found = json.loads(cipher.decrypt_text(result)) if result else None
        return hashes_of(values_of(job.get, found), cipher)
    except (DataSealed, ValueError, TypeError, AttributeError):
        return _NO_KEY


def result_reference(decision: Decision, cipher: Cipher) -> dict[str, str]:
    """Return the hash of CustomerGauge's number in the result of a delivery, for settle.lua; empty without one."""
    if not isinstance(decision.transition, Delivered) or (number := decision.transition.result.get(NUMBER)) is None:
        return {}
    return {"reference": cipher.reference("number", normalise("number", str(number)))}
