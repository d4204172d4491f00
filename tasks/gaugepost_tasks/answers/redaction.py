"""What of an answer's text may be shown: short, printable, and without personal data.

Messages reach records, logs, Flower and a terminal, and receivers like to quote what they were sent. So the job's
own values, e-mail addresses and whatever looks like a phone number are taken out before anybody sees the text.
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
_LONGEST_READ = 100_000  # before the job's values are taken out: they must be met whole
_LONGEST_KEPT = 4_000  # before the patterns, whose cost grows with what they look at
_SHORTEST_VALUE = 3
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")
_PHONE = re.compile(r"\+?\(?\d(?:[ ().\-/]{0,3}\d){6,}")


def plain(text: str) -> str:
    """Write text in one line of printable characters; lone surrogates, which no store takes, become `?`."""
    spaced = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    return spaced if spaced.isprintable() else "".join(c if c.isprintable() else "?" for c in spaced)


class Redactor:
    """Cleans texts about one job: `values` are the job's own, of any type; those under 3 characters are left."""

    def __init__(self, values: Iterable[object] = ()) -> None:
        texts = {plain(str(value)) for value in values if value is not None and not isinstance(value, bool)}
        longest_first = sorted((text for text in texts if len(text) >= _SHORTEST_VALUE), key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if longest_first else None

    def clean(self, text: str) -> str:
        """Return at most 300 characters of the text, with `[…]` where personal data stood."""
        kept = _head(plain(text), _LONGEST_READ)
        if self._values:
            kept = self._values.sub(MARK, kept)
        kept = _PHONE.sub(MARK, _EMAIL.sub(MARK, _head(kept, _LONGEST_KEPT)))
        return kept if len(kept) <= MAX_LENGTH else kept[: MAX_LENGTH - 1] + "…"

    def clean_fields(self, errors: Mapping[str, Sequence[str]], known: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Clean field errors: at most 20 fields, 5 texts each; names that the job itself uses are left as they are."""
        names = set(known)
        kept = list(errors.items())[:MAX_FIELDS]
        return {
            name if name in names and len(name) <= MAX_LENGTH else self.clean(name): tuple(
                self.clean(text) for text in texts[:MAX_TEXTS]
            )
            for name, texts in kept
        }


def _head(text: str, length: int) -> str:
    """Cut one line at a word's end, so that no half of an address is left over."""
    return text if len(text) <= length else text[:length].rpartition(" ")[0]
