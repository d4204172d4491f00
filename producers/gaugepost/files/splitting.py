"""Split an upload into parts that CustomerGauge accepts: limited in records and bytes, in order, with unique names."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from typing import TYPE_CHECKING

from gaugepost.files.limits import MAX_NAME, PART_BYTES, PART_ROWS, refusal
from gaugepost.files.names import split_name
from gaugepost.files.upload import PartPlan
from gaugepost.files.validation import stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.files.upload import Upload


def split(upload: Upload, *, max_rows: int = PART_ROWS, max_bytes: int = PART_BYTES) -> tuple[PartPlan, ...]:
    """Plan the parts of an upload. `content` returns the content of each.

    Raises InvalidJob if one record with the header is larger than a part may be, or if the file was changed since
    `inspect`.
    """
    if upload.verbatim and upload.rows <= max_rows and upload.size <= max_bytes:
        plans = [_plan(upload, 1, 1, (0, upload.rows), whole=True)]
    else:
        cuts = list(_cuts(upload, max_rows, max_bytes))
        plans = [_plan(upload, number, len(cuts), cut) for number, cut in enumerate(cuts, 1)]
    if stamp_of(upload.original) != upload.stamp:
        raise refusal("the file was changed while it was read: upload it again when it is complete")
    return tuple(plans)


def content(upload: Upload, plan: PartPlan) -> bytes:
    """Return the bytes of a part. Raises InvalidJob if they differ from the plan: the file was changed."""
    found = _assemble(upload, (plan.first_row - 1, plan.rows), whole=plan.whole)
    if hashlib.sha256(found).hexdigest() != plan.sha256:
        raise refusal(f"the file was changed while its parts were read (part {plan.number} is different now)")
    return found


def _cuts(upload: Upload, max_rows: int, max_bytes: int) -> Iterator[tuple[int, int]]:
    at = 0
    while at < upload.rows:
        count = upload.records.reach(at, max_rows, max_bytes)
        if not count:
            raise refusal(f"row {at + 1} alone (with the header) has over {max_bytes:,} bytes")
        yield at, count
        at += count


def _plan(upload: Upload, number: int, of: int, cut: tuple[int, int], *, whole: bool = False) -> PartPlan:
    found = _assemble(upload, cut, whole=whole)
    sha256 = hashlib.sha256(found).hexdigest()
    name = _name(upload, number, of, sha256)
    return PartPlan(number, of, name, cut[1], len(found), cut[0] + 1, sha256, whole)


def _assemble(upload: Upload, cut: tuple[int, int], *, whole: bool) -> bytes:
    if whole:
        return os.pread(upload.original.fileno(), upload.size + 1, 0)
    return upload.records.assemble(*cut)


def _name(upload: Upload, number: int, of: int, sha256: str) -> str:
    place = f".part-{number:0{len(str(of))}}-of-{of}" if of > 1 else ""
    ending = f"{place}.{sha256[:10]}.{upload.type}"
    return _safe_stem(upload.filename)[: MAX_NAME - len(ending)] + ending


def _safe_stem(filename: str) -> str:
    """Return the stem of a name with ASCII letters, digits and . _ - only; letters lose their accents."""
    stem, _ = split_name(filename)
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._-") or "file"
