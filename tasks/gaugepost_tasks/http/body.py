"""The body of one answer: unpacked if it is packed, and never larger than an answer may be."""

from __future__ import annotations

import zlib

_LONGEST_HEAD = 65_536
_BYTES_A_CHUNK = 16  # what the framing of one byte of a body may cost, so that a chunked answer ends too


class Body:
    """Collects the parts of a body as they come in."""

    def __init__(self, limit: int) -> None:
        self.content = bytearray()
        self.truncated = False
        self._limit = limit
        self._received = 0
        self._decompressor: zlib._Decompress | None = None

    def set_encoding(self, encoding: str) -> None:
        """Note the Content-Encoding. Raises ValueError for one that is not read.

        Requests ask for a plain body, but answers do as they like.
        """
        if encoding in {"gzip", "x-gzip", "deflate"}:
            self._decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        elif encoding not in {"", "identity"}:
            raise ValueError("an answer packed in a way we did not ask for")

    def add(self, part: bytes) -> None:
        """Keep a part, and no more than an answer may have."""
        self._received += len(part)
        room = self._limit + 1 - len(self.content)
        self.content += (
            self._decompressor.decompress(part, max(room, 1)) if self._decompressor else part[: max(room, 0)]
        )
        if len(self.content) > self._limit:
            del self.content[self._limit :]
            self.truncated = True

    def end(self) -> None:
        """Note that nothing more comes. Raises ValueError for a packed body that is not whole."""
        if self._decompressor is not None and not self._decompressor.eof and not self.truncated and self._received:
            raise ValueError("a packed answer that ends too early")

    def check_framing(self, received: int) -> None:
        """Raise ValueError if so many bytes of an answer hold too little of a body."""
        if received - self._received > _LONGEST_HEAD + _BYTES_A_CHUNK * self._received:
            raise ValueError("an answer of nothing but framing")
