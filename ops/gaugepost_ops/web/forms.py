"""Read forms with files (`multipart/form-data`) while they arrive: a file goes to disk, not into memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Self

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gaugepost_ops.web.bodies import BODY_S, next_chunk
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from starlette.types import Receive

IN_MEMORY = 1_000_000
"""A file with more bytes goes to disk."""
MOST_FIELDS = 1_000
MOST_FIELD_BYTES = 1_000_000
"""Bytes of all fields together."""
IN_UTF8 = "expected text in UTF-8"
ONCE = "expected it once, with one value: gaugepost sends no lists"
_DISPOSITION = "content-disposition"


class BrokenForm(ValueError):  # noqa: N818 - as the refusals of problems.py
    """The body is no form, it breaks off, or it has too many fields. The message quotes nothing."""


class WrongField(ValueError):  # noqa: N818 - as above
    """A field cannot be read. The message quotes nothing."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field
        self.expected = expected


@dataclass(slots=True)
class Form:
    """The fields of a form, and its files with their names. Close it."""

    fields: dict[str, str] = field(default_factory=dict, repr=False)
    files: dict[str, tuple[str, IO[bytes]]] = field(default_factory=dict, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files, which deletes them."""
        for _, file in self.files.values():
            file.close()


class _Reader:
    """Fills a form with the pieces that the parser finds."""

    def __init__(self, content_type: str, folder: Path | None = None) -> None:
        self._folder = folder
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise BrokenForm("expected multipart/form-data with a boundary")
        self.form = Form()
        self._is_complete = False
        self._name, self._filename = "", None
        self._text = bytearray()
        self._file: IO[bytes] | None = None
        self._header, self._value = bytearray(), bytearray()
        self._headers: dict[str, bytes] = {}
        self._field_bytes = self._parts = 0
        callbacks = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._complete,
        }
        try:
            self._parser = MultipartParser(options[b"boundary"], callbacks)  # type: ignore[arg-type]
        except FormParserError:
            raise BrokenForm("expected a shorter boundary") from None

    def feed(self, chunk: bytes) -> None:
        """Parse a piece of the body. Raises BrokenForm, WrongField."""
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise BrokenForm("the form cannot be read") from None

    def check_end(self) -> None:
        """Raise BrokenForm if the body ended too early."""
        if not self._is_complete:
            raise BrokenForm("the form breaks off")

    def _complete(self) -> None:
        self._is_complete = True

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_FIELDS:
            raise BrokenForm(f"expected at most {MOST_FIELDS:,} fields")
        self._headers, self._text, self._file = {}, bytearray(), None

    def _end_header(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(_DISPOSITION, b""))
        self._name = _decoded(options.get(b"name", b""), "")
        if b"filename" in options:
            name = _decoded(options[b"filename"], self._name)
            if self._folder is not None and self.form.files:
                raise BrokenForm("expected one file")
            self._file = self._open()
            _, before = self.form.files.pop(self._name, ("", None))
            if before is not None:
                before.close()
            self.form.files[self._name] = name, self._file

    def _open(self) -> IO[bytes]:
        """Open a new file; the form closes it."""
        if self._folder is None:
            return SpooledTemporaryFile(IN_MEMORY)
        return (self._folder / f"{self._parts}.part").open("w+b")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        self._field_bytes += end - start
        if self._field_bytes > MOST_FIELD_BYTES:
            raise BrokenForm(f"expected at most {MOST_FIELD_BYTES:,} bytes in all fields together")
        self._text.extend(data[start:end])

    def _end(self) -> None:
        if self._file is not None:
            self._file.seek(0)
            return
        if "[" in self._name and self._name in self.form.fields:
            raise WrongField(self._name, ONCE)
        self.form.fields[self._name] = _decoded(self._text, self._name)


def _decoded(text: bytes | bytearray, field: str) -> str:
    """Return the text of a field, or without one the name of a field. Raises WrongField."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise WrongField(field or text.decode("utf-8", "replace"), IN_UTF8) from None


def parse_form(content_type: str, body: bytes) -> Form:
    """Parse the whole body of a form. Raises BrokenForm, WrongField."""
    reader = _Reader(content_type)
    try:
        reader.feed(body)
        reader.check_end()
    except BaseException:
        reader.form.close()
        raise
    return reader.form


async def read_form(content_type: str, receive: Receive, most: int, folder: Path) -> Form:
    """Read a form of at most `most` bytes as it arrives. A thread writes its files into a folder.

    Raises BrokenForm, WrongField; Refused: 413 for a longer one, 408 if no chunk arrives for BODY_S seconds;
    ClientDisconnect.
    """
    reader = _Reader(content_type, folder)
    try:
        await _read_all(reader, receive, most)
    except BaseException:
        reader.form.close()
        raise
    return reader.form


async def _read_all(reader: _Reader, receive: Receive, most: int) -> None:
    size, more = 0, True
    while more:
        try:
            async with asyncio.timeout(BODY_S):
                chunk, more = await next_chunk(receive)
        except TimeoutError:
            expected = f"the next part of the body did not arrive within {BODY_S:.0f} s"
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, expected) from None
        size += len(chunk)
        if size > most:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of at most {most:,} bytes")
        if chunk:
            await asyncio.to_thread(reader.feed, chunk)
    reader.check_end()
