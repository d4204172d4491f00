"""Decrypt a stored job for people. Without the key, leave the data out and say why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.encryption import Cipher


class SealedData(dict[str, Any]):
    """The readable fields of a job that could not be decrypted; each other field raises DataSealed."""

    def __init__(self, clear: Mapping[str, Any], why: str) -> None:
        super().__init__(clear)
        self._why = why

    def __missing__(self, name: str) -> Any:  # noqa: ANN401 - it never returns
        raise DataSealed(self._why)


class Decryption:
    """The decryption of one job. `why`: the reason if some of its data could not be decrypted."""

    def __init__(self, job_id: str, cipher: Cipher) -> None:
        self._id = job_id
        self._cipher = cipher
        self.why: str | None = None

    def _failed(self, error: DataSealed) -> None:
        self.why = f"job {self._id} {error}"

    def job(self, text: bytes) -> dict[str, Any]:
        """Decrypt a job's JSON; without the key return its readable fields."""
        try:
            found: dict[str, Any] = json.loads(self._cipher.decrypt_job(text))
        except DataSealed as error:
            self._failed(error)
            clear = json.loads(text)
            del clear["sealed"]
            if clear.get("source") == "":  # for the scripts
                del clear["source"]
            return SealedData(clear, str(self.why))
        return found

    def json(self, text: bytes | None, default: Any) -> Any:  # noqa: ANN401 - what JSON holds
        """Decrypt JSON; return `default` if there is none, or without the key."""
        try:
            return default if text is None else json.loads(self._cipher.decrypt_text(text))
        except DataSealed as error:
            self._failed(error)
            return default

    def entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Decrypt the encrypted part of one history entry."""
        sealed = entry.pop("sealed", None)
        return entry if sealed is None else entry | self.json(sealed.encode(), {})
