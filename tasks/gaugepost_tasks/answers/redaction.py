"""Make the text of an answer safe to show: short, printable, and without personal data.

Messages go into job records, logs, Flower and terminals, and CustomerGauge may quote what it received. So `Redactor`
removes the job's own values, e-mail addresses, and everything that looks like a phone number.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MARK = "[…]"
MAX_LENGTH = 300
MAX_FIELDS = 20
MAX_TEXTS = 5
_LONGEST_READ = 100_000  # limit before the job's values are removed: a cut value would not be found
_LONGEST_KEPT = 4_000  # limit before the patterns, whose cost grows with the text
_SHORTEST_VALUE = 3
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")
_PHONE = re.compile(r"\+?\(?\d(?:[ ().\-/]{0,3}\d){6,}")


def plain(text: str) -> str:
    """Return the text as one line of printable characters. Redis cannot store lone surrogates: they become `?`."""
    spaced = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    return spaced if spaced.isprintable() else "".join(c if c.isprintable() else "?" for c in spaced)


class Redactor:
    """Redacts texts about one job. `values`: the job's own, of any type; shorter than 3 characters are ignored."""

    def __init__(self, values: Iterable[object] = ()) -> None:
        texts = {plain(str(value)) for value in values if value is not None and not isinstance(value, bool)}
        longest_first = sorted((text for text in texts if len(text) >= _SHORTEST_VALUE), key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if longest_first else None

    def clean(self, text: str) -> str:
        """Return at most 300 characters of the text, with `[…]` in place of personal data."""
        kept = _head(plain(text), _LONGEST_READ)
        if self._values:
            kept = self._values.sub(MARK, kept)
        kept = _PHONE.sub(MARK, _EMAIL.sub(MARK, _head(kept, _LONGEST_KEPT)))
        return kept if len(kept) <= MAX_LENGTH else kept[: MAX_LENGTH - 1] + "…"

    def clean_fields(self, errors: Mapping[str, Sequence[str]], known: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Redact at most 20 fields with 5 texts each. Field names in `known` stay as they are."""
        names = set(known)
        kept = list(errors.items())[:MAX_FIELDS]
        return {
            name if name in names and len(name) <= MAX_LENGTH else self.clean(name): tuple(
                self.clean(text) for text in texts[:MAX_TEXTS]
            )
            for name, texts in kept
        }


def _head(text: str, length: int) -> str:
    """Cut a line after a whole word, so that no half of an address remains."""
    return text if len(text) <= length else text[:length].rpartition(" ")[0]
