"""Seals what lies in Redis about persons, if GAUGEPOST_DATA_KEY is set: jobs, results, messages, file contents.

Fernet: AES-128-CBC with an HMAC, by `cryptography`. The first key seals and all of them open, so that a new key can be
put in front while jobs sealed under the old one are still there. What lies there unsealed stays readable with or
without keys: a seal is told by its first bytes, with which no JSON and no zlib stream begins.

A sealed job is `{"sealed": "…", "kind": …, "region": …, "configuration": …}`: the scripts look at the last three.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.fernet import MultiFernet

    from gaugepost.jobs import JobBase

_TOKEN = b"gAAAA"  # base64 of the version byte and of a time before 2106
_RAW = b"\x80\x00\x00\x00"
_JOB = b'{"sealed":"'
_KEY_BYTES = 32
_PURPOSE = b"gaugepost: same content\n"
_KEY_NAME, _HASH = 8, 32
CLEAR = ("kind", "region", "configuration")
"""What stays readable of a sealed job."""
HOW = (
    "expected Fernet keys separated by commas; one is made by: "
    'python -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
)


def read_keys(text: str) -> tuple[str, ...]:
    """Read the setting. Raises ValueError, which does not hold it, for a malformed key or a missing package."""
    keys = tuple(part.strip() for part in text.split(","))
    if not all(map(_is_key, keys)):
        raise ValueError(HOW)
    if find_spec("cryptography") is None:
        raise ValueError("needs more: pip install 'gaugepost[encryption]'")
    return keys


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, altchars=b"-_", validate=True)) == _KEY_BYTES
    except ValueError:
        return False


def _ring(keys: Sequence[str]) -> MultiFernet:
    from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - services without a key do without it

    return MultiFernet([Fernet(key) for key in keys])


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _name(key: bytes) -> str:
    return hashlib.sha256(b"gaugepost: name of a key\n" + key).hexdigest()[:_KEY_NAME]


class Seal:
    """Seals and opens. Without keys it seals nothing, and opens what is not sealed. Thread-safe."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._ring = _ring(keys) if keys else None
        self._hash_keys = [base64.urlsafe_b64decode(key) for key in keys]
        self.seals = bool(keys)

    def text(self, text: str) -> str:
        """Seal a text."""
        return text if self._ring is None else self._ring.encrypt(text.encode()).decode()

    def open_text(self, text: bytes) -> bytes:
        """Open a text. Raises DataSealed."""
        return self._open(text) if text.startswith(_TOKEN) else text

    def job(self, job: JobBase, text: str) -> str:
        """Seal a job's JSON, `text`, but for what the scripts look at."""
        if self._ring is None:
            return text
        mapping = f',"configuration":{json.dumps(job.mapping)}' if job.mapping else ""
        return f'{{"sealed":"{self.text(text)}","kind":"{job.kind}","region":"{job.region}"{mapping}}}'

    def hashes(self, content: Mapping[str, Any]) -> list[str]:
        """Hash what a job sends, so that two jobs can be compared: under each key, the first one is to be kept.

        Each is 8 letters that name the key, a colon, and the hash. Without the key, nothing can be guessed from it.
        """
        text = _canonical(content).encode()
        if not self._hash_keys:
            return [f"{'0' * _KEY_NAME}:{hashlib.sha256(_PURPOSE + text).hexdigest()[:_HASH]}"]
        return [f"{_name(key)}:{hmac.digest(key, _PURPOSE + text, 'sha256').hex()[:_HASH]}" for key in self._hash_keys]

    def open_job(self, text: bytes) -> bytes:
        """Open a job's JSON. Raises DataSealed."""
        if not text.startswith(_JOB):
            return text
        return self._open(text[len(_JOB) : text.index(b'"', len(_JOB))])

    def content(self, content: bytes) -> bytes:
        """Seal a compressed content. The token is kept as its bytes: base64 would cost a third more."""
        return content if self._ring is None else base64.urlsafe_b64decode(self._ring.encrypt(content))

    def open_content(self, content: bytes) -> bytes:
        """Open a compressed content. Raises DataSealed."""
        return self._open(base64.urlsafe_b64encode(content)) if content.startswith(_RAW) else content

    def _open(self, token: bytes) -> bytes:
        if self._ring is None:
            raise DataSealed("is sealed, and GAUGEPOST_DATA_KEY is not set here")
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        try:
            return self._ring.decrypt(token)
        except InvalidToken:
            raise DataSealed("is sealed under a key that is not in GAUGEPOST_DATA_KEY here") from None


NO_SEAL = Seal()
"""Seals nothing."""
