"""Detect the encoding of a text file, and convert it to UTF-8.

The encoding is detected by a byte order mark, by the pattern of NUL bytes, or by decoding. Latin-1 is the fallback. Any
bytes are valid Latin-1, so gaugepost uses it only if the bytes look like text.
"""

from __future__ import annotations

import codecs
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from gaugepost.files.limits import CHUNK, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

_UTF32 = (codecs.BOM_UTF32_BE,)  # the little-endian mark begins as UTF-16's does; NUL bytes show the difference
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a"))
_C1 = bytes(range(0x80, 0xA0))
_UNDEFINED = b"\x81\x8d\x8f\x90\x9d"
_HEAD = 4096
_MOST_CONTROLS = 0.01


@dataclass(frozen=True)
class Text:
    """A file with UTF-8 text from `start` on: the original, or a temporary converted copy."""

    file: BinaryIO
    start: int
    note: str = ""

    @property
    def converted(self) -> bool:
        """Whether the file is a converted copy."""
        return bool(self.note)


def chunks(file: BinaryIO, start: int = 0) -> Iterator[bytes]:
    """Yield the bytes of a file from `start` on, in chunks."""
    file.seek(start)
    while chunk := file.read(CHUNK):
        yield chunk


def as_utf8(file: BinaryIO) -> Text:
    """Return the text of a file as UTF-8 without byte order mark.

    Raises InvalidJob for NUL bytes, other binary content, and unknown encodings.
    """
    head = _head(file)
    encoding, start = _marked(head) or (_unmarked_utf16(head), 0)
    if encoding.startswith("utf-16"):
        text = convert(file, start, encoding, "UTF-16")
        _survey(text.file, 0)
        return text
    seen = _survey(file, start)
    if seen.valid:
        return Text(file, start)
    if start:
        raise refusal("it is marked as UTF-8 but is not UTF-8 throughout")
    return convert(file, 0, "cp1252", _fallback_name(file, seen))


def convert(file: BinaryIO, start: int, encoding: str, label: str) -> Text:
    """Convert a file into a temporary copy in UTF-8, which is deleted when it is closed. Raises InvalidJob."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - the upload closes it
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in chunks(file, start):
            copy.write(decoder.decode(chunk).encode())
        copy.write(decoder.decode(b"", final=True).encode())
    except UnicodeError:
        copy.close()
        raise refusal(f"it looks like {label} but is not valid {label}") from None
    copy.flush()
    return Text(copy, 0, f"converted from {label} to UTF-8")


@dataclass
class _Seen:
    valid: bool = True
    controls: int = 0
    size: int = 0
    c1: bool = False
    undefined: bool = False


def _survey(file: BinaryIO, start: int) -> _Seen:
    """Read every byte once. Return whether the file is UTF-8; raise InvalidJob if it is not text."""
    seen, decoder = _Seen(), codecs.getincrementaldecoder("utf-8")()
    for chunk in chunks(file, start):
        _look_at(chunk, seen)
        seen.valid = seen.valid and _decodes(decoder, chunk)
    seen.valid = seen.valid and _decodes(decoder, b"", final=True)
    if seen.controls > (seen.size * _MOST_CONTROLS if seen.valid else 0):
        raise refusal("expected text, but the content is binary")
    return seen


def _look_at(chunk: bytes, seen: _Seen) -> None:
    if b"\0" in chunk:
        raise refusal("expected text, but it has NUL bytes: it is binary, damaged, or UTF-16 without its mark")
    seen.size += len(chunk)
    seen.controls += len(chunk) - len(chunk.translate(None, _CONTROLS))
    if not chunk.isascii():
        seen.c1 = seen.c1 or len(chunk.translate(None, _C1)) < len(chunk)
        seen.undefined = seen.undefined or any(byte in chunk for byte in _UNDEFINED)


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _fallback_name(file: BinaryIO, seen: _Seen) -> str:
    if _mostly_utf8(file):
        raise refusal("most of it is UTF-8, but not all: save it as UTF-8 again")
    if seen.undefined:
        raise refusal("its encoding is unknown (neither UTF-8, UTF-16 nor Latin-1): save it as UTF-8")
    return "Windows-1252" if seen.c1 else "Latin-1"


def _mostly_utf8(file: BinaryIO) -> bool:
    """Return whether a file is damaged UTF-8, not Latin-1, in which accented letters rarely form valid UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    strays = wide = 0
    for chunk in chunks(file):
        text = decoder.decode(chunk)
        found = text.count("\ufffd")
        strays += found
        wide += 0 if text.isascii() else len(text) - len(text.encode("ascii", "ignore")) - found
    return wide > strays


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(_HEAD)


def _marked(head: bytes) -> tuple[str, int] | None:
    if head.startswith(_UTF32):
        raise refusal("expected UTF-8, it is UTF-32: save it as UTF-8")
    return next(((encoding, len(mark)) for mark, encoding in _MARKS if head.startswith(mark)), None)


def _unmarked_utf16(head: bytes) -> str:
    """Return the encoding of a head without mark: in UTF-16 every second byte of western text is NUL."""
    enough = len(head) // 2 * 0.4
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > enough and even * 20 < odd:
        return "utf-16-le"
    return "utf-16-be" if even > enough and odd * 20 < even else "utf-8"
