"""Detect the type of a file by its first bytes, because the ending of its name is often wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.files.limits import refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gaugepost.errors import InvalidJob

_MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xfd7zXZ", "an XZ archive"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x7fELF", "a program"),
    (b"{\\rtf", "an RTF document"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3", "a database"),
)
_TEXT_MARKS = (
    (("<!doctype html", "<html", "<head", "<body", "<table"), "an HTML page"),
    (("<",), "xml"),
    (('{"', "[{", '{ "', "{\n", "{\r", "[\n", "[\r"), "JSON"),
)
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_WANTED = {".csv": "text", ".xml": "xml", ".xlsx": "zip", ".xls": "ole"}
_PROPER = {"text": ".csv", "xml": ".xml", "zip": ".xlsx", "ole": ".xls"}
_SPOKEN = {"text": "plain text", "xml": "XML", "zip": "a zip archive (or an .xlsx workbook)", "ole": "a workbook"}


def kind_of(head: bytes) -> str:
    """Return the type of a file: `text`, `xml`, `zip`, `ole`, or a description of a type that cannot be uploaded."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    text = _as_text(head).lstrip("\ufeff \t\r\n\0")[:200].lower()
    for marks, kind in _TEXT_MARKS:
        if text.startswith(marks):
            return "an HTML page" if kind == "xml" and "<html" in text else kind
    return "text"


def mismatch(ending: str, kind: str) -> InvalidJob | None:
    """Return the error if the content does not have the type of the ending; None if it has.

    `.xls` and `.xlsx` are different types.
    """
    if _WANTED[ending] == kind:
        return None
    is_a = _SPOKEN.get(kind, kind)
    advice = f"; if that is right, name it {_PROPER[kind]}" if kind in _PROPER else ""
    return refusal(f"expected the type of its name ({ending}), but the content is {is_a}{advice}")


def is_protected(pieces: Iterable[bytes]) -> bool:
    """Return whether an OLE container is a workbook with a password: it has a stream `EncryptedPackage`."""
    tail = b""
    for piece in pieces:
        if _ENCRYPTED in tail + piece:
            return True
        tail = piece[-len(_ENCRYPTED) :]
    return False


def _as_text(head: bytes) -> str:
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return head[len(bom) :].decode(encoding, "replace")
    return head.replace(b"\0", b"").decode("latin-1")
