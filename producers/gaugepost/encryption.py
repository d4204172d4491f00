"""Encrypt personal data in Redis, if GAUGEPOST_DATA_KEY is set: jobs, results, messages and file contents.

The method is Fernet (AES-128-CBC with an HMAC) of the package `cryptography`. The first key encrypts and all keys
decrypt: put a new key first and keep the old one until the jobs encrypted with it are gone. Data that was stored
without encryption stays readable. Encrypted data has its own first bytes; no JSON text and no zlib stream begins with
them.

An encrypted job is `{"sealed": "…", "kind": …, "region": …, "configuration": …, "source": …}`. The scripts read what is
not sealed.
"""

from __future__ import annotations

import base64
import binascii
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
NOT_OUR_KEY = "is encrypted with a key that GAUGEPOST_DATA_KEY does not have here"
_INDEX = b"gaugepost: reference of a job\n"
_INDEX_BYTES, _INDEX_LETTERS = 8, 11
CLEAR = ("kind", "region", "configuration")
"""The readable fields of an encrypted job."""
HOW = (
    "expected Fernet keys, separated by commas. To make one: "
    'python -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
)


def read_keys(text: str) -> tuple[str, ...]:
    """Parse GAUGEPOST_DATA_KEY.

    Raises ValueError for a malformed key, or if the package `cryptography` is missing. The message has no key.
    """
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
    from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - only services with a key have the package

    return MultiFernet([Fernet(key) for key in keys])


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _name(key: bytes) -> str:
    return hashlib.sha256(b"gaugepost: name of a key\n" + key).hexdigest()[:_KEY_NAME]


def _index_hash(key: bytes) -> hashlib.blake2b:
    """Return the hash of references under a key, to be copied for each value."""
    secret = hmac.digest(key, _INDEX, "sha256") if key else b""
    return hashlib.blake2b(_INDEX, digest_size=_INDEX_BYTES, key=secret)


def _letters(begun: hashlib.blake2b, sort: str, value: str) -> str:
    one = begun.copy()
    one.update(f"{sort}:{value}".encode())
    return binascii.b2a_base64(one.digest(), newline=False)[:_INDEX_LETTERS].decode()


class Cipher:
    """Encrypt and decrypt by the keys of GAUGEPOST_DATA_KEY. Thread-safe.

    Data that is not encrypted is returned as it is. Without keys nothing is encrypted, and encrypted data raises
    DataSealed.
    """

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._ring = _ring(keys) if keys else None
        self._first = _ring(keys[:1]) if keys else None
        self._hash_keys = [base64.urlsafe_b64decode(key) for key in keys]
        self._index_hashes = [_index_hash(key) for key in self._hash_keys] + [_index_hash(b"")]
        self.encrypts = bool(keys)

    def encrypt_text(self, text: str) -> str:
        """Encrypt a text."""
        return text if self._ring is None else self._ring.encrypt(text.encode()).decode()

    def decrypt_text(self, text: bytes) -> bytes:
        """Decrypt a text. Raises DataSealed."""
        return self._decrypt(text) if text.startswith(_TOKEN) else text

    def is_current(self, text: bytes) -> bool:
        """Return whether `encrypt_text` would encrypt a text with the key that it is encrypted with, or not at all."""
        if self._first is None:
            return not text.startswith(_TOKEN)
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        try:
            self._first.decrypt(text)
        except InvalidToken:
            return False
        return True

    def encrypt_job(self, job: JobBase, text: str) -> str:
        """Encrypt a job's JSON `text`, and add the fields that the scripts read."""
        if self._ring is None:
            return text
        mapping = f',"configuration":{json.dumps(job.mapping)}' if job.mapping else ""
        source = f',"source":{json.dumps(job.source or "")}'
        return f'{{"sealed":"{self.encrypt_text(text)}","kind":"{job.kind}","region":"{job.region}"{mapping}{source}}}'

    def hashes(self, content: Mapping[str, Any]) -> list[str]:
        """Hash the content of a job by each key, to compare two jobs. The ledger stores the first hash.

        A hash is an 8-letter name of the key, a colon and the digest. Without the key no attacker can test
        guesses against it.
        """
        text = _canonical(content).encode()
        if not self._hash_keys:
            return [f"{'0' * _KEY_NAME}:{hashlib.sha256(_PURPOSE + text).hexdigest()[:_HASH]}"]
        return [f"{_name(key)}:{hmac.digest(key, _PURPOSE + text, 'sha256').hex()[:_HASH]}" for key in self._hash_keys]

    def reference(self, sort: str, value: str) -> str:
        """Hash a value by which `find` finds a job, such as an e-mail address, by the first key: 11 letters."""
        return _letters(self._index_hashes[0], sort, value)

    def references(self, sort: str, value: str) -> list[str]:
        """Hash such a value by each key, and without a key, to find jobs that were stored under an earlier DATA_KEY."""
        return [_letters(one, sort, value) for one in self._index_hashes]

    def decrypt_job(self, text: bytes) -> bytes:
        """Decrypt a job's JSON. Raises DataSealed."""
        if not text.startswith(_JOB):
            return text
        return self._decrypt(text[len(_JOB) : text.index(b'"', len(_JOB))])

    def encrypt_content(self, content: bytes) -> bytes:
        """Encrypt a compressed content. The token is stored as bytes: base64 would take a third more."""
        return content if self._ring is None else base64.urlsafe_b64decode(self._ring.encrypt(content))

    def decrypt_content(self, content: bytes) -> bytes:
        """Decrypt a compressed content. Raises DataSealed."""
        return self._decrypt(base64.urlsafe_b64encode(content)) if content.startswith(_RAW) else content

    def _decrypt(self, token: bytes) -> bytes:
        if self._ring is None:
            raise DataSealed("is encrypted, and GAUGEPOST_DATA_KEY is not set here")
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        try:
            return self._ring.decrypt(token)
        except InvalidToken:
            raise DataSealed(NOT_OUR_KEY) from None


NO_CIPHER = Cipher()
"""Encrypts nothing."""
