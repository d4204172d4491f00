"""Collect the body of one answer, decompressed and limited in size."""

from __future__ import annotations

import zlib

_LONGEST_HEAD = 65_536
_BYTES_A_CHUNK = 16  # framing allowed for each byte of body: limits chunked answers too


class Body:
    """A body that grows while its answer arrives. `limit`: its largest size in bytes.

    `status`: that of the answer, once its head has arrived.
    """

    def __init__(self, limit: int) -> None:
        self.content = bytearray()
        self.truncated = False
        self.status: int | None = None
        self._limit = limit
        self._received = 0
        self._decompressor: zlib._Decompress | None = None

    def set_encoding(self, encoding: str) -> None:
        """Set the Content-Encoding. Raises ValueError for any but gzip and deflate.

        Requests ask for an uncompressed body, but a server may compress it all the same.
        """
        if encoding in {"gzip", "x-gzip", "deflate"}:
            self._decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        elif encoding not in {"", "identity"}:
            raise ValueError("unsupported Content-Encoding")

    def add(self, part: bytes) -> None:
        """Add a part, decompressed. Cut what exceeds the limit and set `truncated`."""
        self._received += len(part)
        room = self._limit + 1 - len(self.content)
        self.content += (
            self._decompressor.decompress(part, max(room, 1)) if self._decompressor else part[: max(room, 0)]
        )
        if len(self.content) > self._limit:
            del self.content[self._limit :]
            self.truncated = True

    def end(self) -> None:
        """End the body. Raises ValueError for a compressed body that is not whole."""
        if self._decompressor is not None and not self._decompressor.eof and not self.truncated and self._received:
            raise ValueError("the compressed body ends too early")

    def check_framing(self, received: int) -> None:
        """Raise ValueError if `received` bytes of an answer hold too little body: an endless head or chunk framing."""
        if received - self._received > _LONGEST_HEAD + _BYTES_A_CHUNK * self._received:
            raise ValueError("the answer has too much framing for its body")
