"""Opens what is sealed of a job on its record, for people: what this process has no key for is left out, and told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.encryption import Cipher


class SealedData(dict[str, Any]):
    """The data of a job that could not be opened: what it lacks raises DataSealed."""

    def __init__(self, clear: Mapping[str, Any], why: str) -> None:
        super().__init__(clear)
        self._why = why

    def __missing__(self, name: str) -> Any:  # noqa: ANN401 - it gives nothing
        """Refuse what could not be opened."""
        raise DataSealed(self._why)


class Opening:
    """Opens what is sealed of one job. What cannot be opened is left out, and `why` tells so."""

    def __init__(self, job_id: str, cipher: Cipher) -> None:
        self._id = job_id
        self._cipher = cipher
        self.why: str | None = None

    def _fails(self, error: DataSealed) -> None:
        self.why = f"job {self._id} {error}"

    def job(self, text: bytes) -> dict[str, Any]:
        """Open the job; without its key what is known of it."""
        try:
            found: dict[str, Any] = json.loads(self._cipher.decrypt_job(text))
        except DataSealed as error:
            self._fails(error)
            clear = json.loads(text)
            del clear["sealed"]
            return SealedData(clear, str(self.why))
        return found

    def json(self, text: bytes | None, default: Any) -> Any:  # noqa: ANN401 - what JSON holds
        """Open a text that is JSON; `default` for none, and without its key."""
        try:
            return default if text is None else json.loads(self._cipher.decrypt_text(text))
        except DataSealed as error:
            self._fails(error)
            return default

    def entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Open what is sealed of one line of the record."""
        sealed = entry.pop("sealed", None)
        return entry if sealed is None else entry | self.json(sealed.encode(), {})
