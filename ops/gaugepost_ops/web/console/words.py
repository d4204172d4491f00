"""Codes in words: verdicts, and the reasons of jobs and holds, which may have one in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gaugepost.ledger.explanations import meaning
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from gaugepost.ledger import Hold

_CODE = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)+\b")
_CODES = frozenset(Verdict)


def in_words(text: str | None) -> str:
    """Replace each verdict of a text: `missing_field` becomes `missing field`. Other texts keep their underscores."""
    return _CODE.sub(lambda found: found[0].replace("_", " ") if found[0] in _CODES else found[0], text or "")


def why_held(hold: Hold) -> str:
    """Return the reason of a hold, with what it means if gaugepost opened it."""
    return in_words(hold.reason) + (f" ({meaning(hold)})" if meaning(hold) else "")
