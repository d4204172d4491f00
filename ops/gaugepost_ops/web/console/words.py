"""Codes in words: verdicts, and the reasons of jobs and holds, which may have one in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gaugepost.ledger.explanations import meaning
from gaugepost.verdict import Verdict
from gaugepost_ops.cli.aliases import scope_name

if TYPE_CHECKING:
    from gaugepost.client import Producer
    from gaugepost.ledger import Hold
    from gaugepost.regions import Region

_CODE = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)+\b")
_CODES = frozenset(Verdict)
_REASONS = {"lane": "behind an earlier change of its case", "slot": "for a slot of its upload lane"}


def in_words(text: str | None) -> str:
    """Return a reason in words, and a text with each verdict in words: `missing_field` becomes `missing field`."""
    text = text or ""
    return _REASONS.get(text) or _CODE.sub(lambda found: _code_in_words(found[0]), text)


def _code_in_words(code: str) -> str:
    return code.replace("_", " ") if code in _CODES else code


def what_is_held(producer: Producer, hold: Hold, region: Region) -> str:
    """Return the scope of a hold as Holds names it: `configuration crm-survey`; empty for the whole region."""
    return scope_name(producer, hold.scope, region).replace(":", " ", 1)


def why_held(hold: Hold) -> str:
    """Return the reason of a hold, with what it means if gaugepost opened it."""
    means = meaning(hold)
    return in_words(hold.reason) + (f" ({means})" if means else "")
