"""XML: `<records><record>…</record></records>`. Each record is a slice of the file's bytes.

defusedxml's parser refuses document types, entities and external references. expat's byte index gives the start and end
of each record, so that no tree is built and nothing is serialised again. The depth, the number of distinct names (expat
keeps each) and the size of a token are limited.
"""

from __future__ import annotations

import codecs
import os
import re
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.sax import SAXException
from xml.sax.handler import ContentHandler

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from gaugepost.files.limits import PART_BYTES, refusal
from gaugepost.files.records import Records
from gaugepost.files.text import Text, chunks, convert

if TYPE_CHECKING:
    from gaugepost.files.upload import Found

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_MAX_DEPTH = 100
_MAX_NAMES = 5_000
_MAX_NAME = 300
_MAX_TOKEN = 3_000_000
_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_ENCODINGS = {
    "utf-8": "UTF-8",
    "ascii": "ASCII",
    "iso8859-1": "Latin-1",
    "iso8859-15": "Latin-9",
    "cp1252": "Windows-1252",
    "utf-16": "UTF-16",
}


def read_xml(file: BinaryIO, found: Found) -> Records:
    """Find the records of an XML file.

    Raises InvalidJob for malformed XML, a document type or entities, another structure, no record, a record that is too
    large for an upload, and an unsupported encoding.
    """
    text = _as_utf8(file)
    try:
        reader = _Reader(text)
        _feed(reader)
    except BaseException:
        if text.converted:
            text.file.close()
        raise
    if text.note:
        found.notes.append(text.note)
    found.verbatim = not text.converted and text.start == 0
    return reader.records


def _feed(reader: _Reader) -> None:
    try:
        reader.read()
    except DefusedXmlException:
        raise refusal("expected XML without document type and entities") from None
    except SAXException as error:
        line = getattr(error, "getLineNumber", lambda: None)()
        where = f" at line {line}" if line else ""
        raise refusal(f"it is not well-formed XML{where}: {error.getMessage()}") from None
    if not len(reader.records):
        raise refusal("it has no <record>: expected <records><record>…</record></records>")


class _Reader(DefusedExpatParser):
    """defusedxml's parser with its own handlers for elements, which are fast and can read the byte index."""

    _parser: Any
    _source: Any

    def __init__(self, text: Text) -> None:
        super().__init__(forbid_dtd=True)
        self.setContentHandler(ContentHandler())
        self._source.setEncoding("utf-8")
        self.records = Records(text.file)
        self.records.between = b"\n"
        self._text = text
        self._depth = 0
        self._events = 0
        self._begun = 0
        self._open: str | None = None
        self._names: set[str] = set()

    def reset(self) -> None:
        """Create the expat parser and set its handlers."""
        super().reset()
        expat = self._parser
        expat.StartElementHandler = self._on_start
        expat.EndElementHandler = self._on_end
        expat.CharacterDataHandler = None
        expat.ProcessingInstructionHandler = None

    def read(self) -> None:
        """Read the whole file. Raises InvalidJob as soon as a token or a record is too large."""
        fed = silent = 0
        for chunk in chunks(self._text.file, self._text.start):
            events = self._events
            self.feed(chunk)
            fed += len(chunk)
            silent = silent + len(chunk) if events == self._events else 0
            if silent > _MAX_TOKEN or (self._depth > 1 and fed - self._begun > _MAX_TOKEN):
                raise self._too_long()
        self.close()

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        self._events += 1
        self._depth += 1
        if name not in self._names or attributes:
            self._learn(name, *attributes)
        if self._depth <= 2:  # noqa: PLR2004 - records, record
            self._outer(name)
        elif self._depth > _MAX_DEPTH:
            raise refusal(f"elements are nested more than {_MAX_DEPTH} deep")
        elif name == "record":
            raise refusal(f"record {len(self.records) + 1} has a <record> inside")

    def _on_end(self, _name: str) -> None:
        self._events += 1
        self._depth -= 1
        if self._depth <= 1:
            self._end_of_slice()
            if self._depth == 1:
                self._open = "record"
                self._parser.DefaultHandler = self._on_other

    def _outer(self, name: str) -> None:
        expected = "records" if self._depth == 1 else "record"
        if name != expected:
            where = "as the root" if self._depth == 1 else "alone inside <records>"
            raise refusal(f"expected <{expected}> {where}, found another element")
        self._end_of_slice()
        self._begun = self._parser.CurrentByteIndex
        self._open = "records" if self._depth == 1 else None
        self._parser.DefaultHandler = self._on_other if self._depth == 1 else None

    def _on_other(self, data: str) -> None:
        """Handle text between the records: it begins where the previous record ends."""
        self._end_of_slice()
        if data.strip() and not data.startswith("<") and self._depth == 1:
            raise refusal(f"expected only elements inside <records>, found text after record {len(self.records)}")

    def _end_of_slice(self) -> None:
        """End the root's start tag or a record at the current position."""
        if self._open is None:
            return
        length = self._parser.CurrentByteIndex - self._begun
        if self._open == "record":
            self._add(length)
        else:
            tag = os.pread(self._text.file.fileno(), length, self._text.start + self._begun)
            self.records.head = _DECLARATION + tag + b"\n"
            self.records.tail = b"\n</records>\n"
        self._open = None

    def _add(self, length: int) -> None:
        if length > PART_BYTES:
            raise self._too_long()
        self.records.add(self._text.start + self._begun, length)

    def _too_long(self) -> Exception:
        return refusal(f"record {len(self.records) + 1} (or the text before it) has over {PART_BYTES:,} bytes")

    def _learn(self, *names: str) -> None:
        self._names.update(names)
        if len(self._names) > _MAX_NAMES or max(map(len, names)) > _MAX_NAME:
            raise refusal(f"expected at most {_MAX_NAMES:,} different names of at most {_MAX_NAME} characters")


def _as_utf8(file: BinaryIO) -> Text:
    file.seek(0)
    head = file.read(1024)
    if head.startswith(codecs.BOM_UTF8):
        return Text(file, 3)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return convert(file, 0, "utf-16", "UTF-16")
    if head.startswith((b"<\0", b"\0<")):
        return convert(file, 0, "utf-16-le" if head[1] == 0 else "utf-16-be", "UTF-16")
    encoding = _declared(head)
    return Text(file, 0) if encoding in ("utf-8", "ascii") else convert(file, 0, encoding, _ENCODINGS[encoding])


def _declared(head: bytes) -> str:
    match = _DECLARED.match(head)
    if match is None:
        return "utf-8"
    try:
        encoding = codecs.lookup(match[1].decode()).name
    except LookupError:
        encoding = ""
    if encoding not in _ENCODINGS:
        raise refusal("its declared encoding is not supported: save it as UTF-8")
    return encoding
