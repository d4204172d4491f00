"""JSON lines in, JSON lines out, of any number, in bounded memory: a line for each line, as `gaugepost enqueue` prints.

While Redis stores one batch, the next one is parsed. A line that Redis has not answered gets no line: the caller sends
it again. If the gateway stops early, its last line is a `problem`, with the number of the first line without an answer.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from gaugepost.batches import by_region
from gaugepost.errors import GaugepostError, InvalidJob
from gaugepost.ledger import Entry
from gaugepost_ops.cli.jobs.enqueued_row import EnqueuedRow
from gaugepost_ops.web.json_jobs import parse_line, permitted
from gaugepost_ops.web.large_bodies import BODIES
from gaugepost_ops.web.line_reader import LineReader
from gaugepost_ops.web.problems import MOST_ERRORS, Refused, errors_of, refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import Message, Receive, Scope, Send

    from gaugepost_ops.web.callers import Caller
    from gaugepost_ops.web.gateway import Gateway
    from gaugepost_ops.web.line_reader import NumberedLine

WRITE_S = 60.0
"""Seconds for which a caller may not read its lines."""
_PARSED_AT_ONCE = 20
"""Lines parsed before other requests get their turn."""


@dataclass(slots=True)
class _Batch:
    """Checked lines. `rows`: number of a line → the row to print; `entries`: number of a line → the job to store."""

    rows: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    entries: dict[int, Entry] = field(default_factory=dict)

    def next_rows(self) -> list[Mapping[str, Any]]:
        """Return the rows in the order of their lines, and forget them."""
        rows = [self.rows[number] for number in sorted(self.rows)]
        self.rows.clear()
        return rows


class _Lines:
    """The body of the answer."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows. Raises TimeoutError if the caller does not read."""
        if rows:
            await self._begin()
            await self._body(b"".join(to_json(row) + b"\n" for row in rows), more=True)

    async def end(self) -> None:
        await self._begin()
        await self._body(b"", more=False)

    async def _begin(self) -> None:
        if not self.has_begun:
            self.has_begun = True
            headers = [(b"content-type", b"application/x-ndjson")]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _body(self, body: bytes, *, more: bool) -> None:
        async with asyncio.timeout(WRITE_S):
            await self._send({"type": "http.response.body", "body": body, "more_body": more})


class JobLines(Response):
    """The answer to JSON lines. It reads the request while it is sent."""

    def __init__(self, gateway: Gateway, caller: Caller) -> None:
        super().__init__()
        self.has_begun = False
        self._gateway = gateway
        self._caller = caller
        self._unanswered = 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Read, store and answer all lines."""

        async def send_and_note(message: Message) -> None:
            self.has_begun = True
            await send(message)

        lines, reader = _Lines(send_and_note), LineReader(receive)
        batches: asyncio.Queue[_Batch | None] = asyncio.Queue(1)
        storing = asyncio.create_task(self._store_all(batches, lines))
        storing.add_done_callback(reader.stop)
        try:
            with self._gateway.stopping.calls(reader.stop):
                await self._read_all(reader, batches, storing)
            await storing
            self._refuse_rest(reader)
        except (GaugepostError, Refused) as error:
            await self._fail(error, lines)
        except ClientDisconnect:
            return
        finally:
            storing.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await storing
        await lines.end()

    def _refuse_rest(self, reader: LineReader) -> None:
        """Raise Refused if the reader ended early, because this process stops."""
        if reader.was_stopped and self._gateway.stopping.is_set:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "this gateway stops: send the rest to another one")

    async def _read_all(
        self, reader: LineReader, batches: asyncio.Queue[_Batch | None], storing: asyncio.Task[None]
    ) -> None:
        try:
            async for found in reader.batches():
                await self._put(await self._check(found), batches, storing)
        except Refused:  # no further line came: first store and answer those before
            await self._put(None, batches, storing)
            await storing
            raise
        await self._put(None, batches, storing)

    async def _put(
        self, batch: _Batch | None, batches: asyncio.Queue[_Batch | None], storing: asyncio.Task[None]
    ) -> None:
        """Wait until the batch before is stored, or until storing has failed."""
        putting = asyncio.ensure_future(batches.put(batch))
        await asyncio.wait({putting, storing}, return_when=asyncio.FIRST_COMPLETED)
        putting.cancel()

    async def _check(self, lines: Sequence[NumberedLine]) -> _Batch:
        batch = _Batch()
        for turn, line in enumerate(lines):
            if turn % _PARSED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if line.is_blank:
                continue
            try:
                batch.entries[line.number] = await BODIES.parse(line.data or b"", partial(self._entry, line))
            except InvalidJob as error:
                errors = list(islice(errors_of(error), MOST_ERRORS))
                batch.rows[line.number] = {"line": line.number, "errors": errors}
            except Refused as error:  # the key is not for this region
                batch.rows[line.number] = {
                    "line": line.number,
                    "errors": [{"field": "region", "message": error.detail}],
                }
        return batch

    def _entry(self, line: NumberedLine) -> Entry:
        """Return the checked job of a line. Raises InvalidJob, Refused."""
        job = permitted(parse_line(line.data, line.number), self._caller, self._gateway.settings)
        return Entry.of(job, self._gateway.store.mappings)

    async def _store_all(self, batches: asyncio.Queue[_Batch | None], lines: _Lines) -> None:
        while (batch := await batches.get()) is not None:
            numbers = [*batch.rows, *batch.entries]
            try:
                await self._store(batch)
            except (GaugepostError, Refused):
                unanswered = (number for number in batch.entries if number not in batch.rows)
                self._unanswered = min(unanswered, default=max(numbers, default=self._unanswered - 1) + 1)
                if lines.has_begun or batch.rows:
                    await lines.write(batch.next_rows())
                raise
            await lines.write(batch.next_rows())
            self._unanswered = max(numbers, default=self._unanswered - 1) + 1

    async def _store(self, batch: _Batch) -> None:
        """Store the jobs of a batch. Raises Refused if the key ended since the request began."""
        caller = await self._gateway.callers.again(self._caller)
        numbers = {entry.id: number for number, entry in batch.entries.items()}
        for region, group in by_region(list(batch.entries.values())).items():
            caller.key_for(region)
            for entry, accepted in zip(group, await self._gateway.store.accept(region, group), strict=True):
                number = numbers[entry.id]
                batch.rows[number] = EnqueuedRow(number, region, accepted, entry.warnings).to_dict()

    async def _fail(self, error: GaugepostError | Refused, lines: _Lines) -> None:
        """End with a `problem`. Raises the error if nothing was written yet: then the status says it."""
        if not lines.has_begun:
            raise error
        problem = error if isinstance(error, Refused) else refused(error)
        await lines.write([{"line": self._unanswered, "problem": problem.to_dict()}])
