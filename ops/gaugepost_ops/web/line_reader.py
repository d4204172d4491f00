"""Read the lines of a body, however long it is, a batch at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gaugepost.batches import BATCH
from gaugepost_ops.cli.jobs.json_lines import MAX_FILE_LINE
from gaugepost_ops.web.bodies import BODY_S, next_chunk
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive


@dataclass(frozen=True, slots=True)
class NumberedLine:
    """A line without its line break. `data`: None if the line is longer than any job may be."""

    number: int
    data: bytes | None = field(repr=False)

    @property
    def is_blank(self) -> bool:
        """Whether the line is empty or has only white space."""
        return self.data is not None and (not self.data or self.data.isspace())


class LineReader:
    """The lines of one body. Memory holds one chunk and one line."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._line = bytearray()
        self._is_too_long = False
        self._number = 0
        self._stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def was_stopped(self) -> bool:
        """Whether `stop` ended it before the end of the body."""
        return self._stop.done()

    def stop(self, *_: object) -> None:
        """Read no further chunk."""
        if not self._stop.done():
            self._stop.set_result(None)

    async def batches(self) -> AsyncIterator[list[NumberedLine]]:
        """Yield the lines, at most BATCH at a time, as they arrive. A body that breaks off has no last line.

        Raises ClientDisconnect, and Refused (408) if no chunk arrives for BODY_S seconds.
        """
        more = True
        while more and (found := await self._next()) is not None:
            chunk, more = found
            lines = self._split(chunk)
            if not more and (self._line or self._is_too_long):
                lines.append(self._take())
            for start in range(0, len(lines), BATCH):
                yield lines[start : start + BATCH]

    async def _next(self) -> tuple[bytes, bool] | None:
        """Return the next chunk and whether more follow; None after `stop`."""
        reading = asyncio.ensure_future(next_chunk(self._receive))
        try:
            either: set[asyncio.Future[Any]] = {reading, self._stop}
            await asyncio.wait(either, timeout=BODY_S, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.done():
                return None
            if reading.done():
                return reading.result()
        finally:
            reading.cancel()
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, f"no line came within {BODY_S:.0f} s")

    def _split(self, chunk: bytes) -> list[NumberedLine]:
        *ended, rest = chunk.split(b"\n")
        lines = []
        for piece in ended:
            self._add(piece)
            lines.append(self._take())
        self._add(rest)
        return lines

    def _add(self, piece: bytes) -> None:
        if len(self._line) + len(piece) > MAX_FILE_LINE:
            self._is_too_long = True
            self._line.clear()
        elif not self._is_too_long:
            self._line += piece

    def _take(self) -> NumberedLine:
        self._number += 1
        line = NumberedLine(self._number, None if self._is_too_long else bytes(self._line))
        self._line.clear()
        self._is_too_long = False
        return line
