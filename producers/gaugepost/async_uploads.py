"""`AsyncProducer.uploads`: the calls of `Uploads` as coroutines. They run in a thread, because they read files."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from gaugepost.file_families import Family
    from gaugepost.files import Upload
    from gaugepost.ledger import FileSet
    from gaugepost.receipts import AsyncReceipt, Receipt
    from gaugepost.regions import Region
    from gaugepost.set_view import SetView
    from gaugepost.uploads import PlannedPart, Uploads


class AsyncUploads:
    """Upload files of any length; see `Uploads`."""

    def __init__(self, uploads: Uploads, receipt: Callable[[Receipt[Any]], AsyncReceipt[Any]]) -> None:
        self._uploads = uploads
        self._receipt = receipt

    async def forecast(
        self,
        region: Region,
        files: int,
        family: Family = "transactional",
        *,
        first: bool = False,
        deliver_at: datetime | None = None,
    ) -> list[int | None]:
        """Return when each of `files` further files would start; see `Uploads.forecast`."""
        return await asyncio.to_thread(
            self._uploads.forecast, region, files, family, first=first, deliver_at=deliver_at
        )

    async def plan(
        self, path: Path, region: Region, family: Family, *, first: bool = False, deliver_at: datetime | None = None
    ) -> tuple[Upload, list[PlannedPart]]:
        """Check and split a file, and forecast its parts; see `Uploads.plan`."""
        return await asyncio.to_thread(self._uploads.plan, path, region, family, first=first, deliver_at=deliver_at)

    async def upload(  # noqa: PLR0913 - as of `Uploads`
        self,
        upload: Upload,
        parts: Sequence[PlannedPart],
        region: Region,
        family: Family,
        *,
        again: bool = False,
        first: bool = False,
        source: str | None = None,
        deliver_at: datetime | None = None,
        batch: str | None = None,
    ) -> FileSet:
        """Enqueue all parts of a file as one file set, or none; see `Uploads.upload`."""
        return await asyncio.to_thread(
            self._uploads.upload,
            upload,
            parts,
            region,
            family,
            again=again,
            first=first,
            source=source,
            deliver_at=deliver_at,
            batch=batch,
        )

    async def view(self, set_id: str) -> SetView:
        """Return the current state of a file set; see `Uploads.view`."""
        return await asyncio.to_thread(self._uploads.view, set_id)

    async def cancel(self, set_id: str, by: str = "") -> int:
        """Cancel the parts that no worker has sent; see `Uploads.cancel`."""
        return await asyncio.to_thread(self._uploads.cancel, set_id, by)

    async def rejects(self, set_id: str, *, with_reasons: bool = False) -> bytes:
        """Return the rejected rows as one file; see `Uploads.rejects`."""
        return await asyncio.to_thread(self._uploads.rejects, set_id, with_reasons=with_reasons)

    async def undo(self, set_id: str, by: str = "") -> list[AsyncReceipt[Any]]:
        """Cancel the parts that were not sent, and delete those that were; see `Uploads.undo`."""
        return [self._receipt(one) for one in await asyncio.to_thread(self._uploads.undo, set_id, by)]
