"""The row that `gaugepost enqueue` prints for an accepted job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gaugepost.ledger import Accepted
    from gaugepost.regions import Region


@dataclass(frozen=True, slots=True)
class EnqueuedRow:
    """An accepted job and the number of its line."""

    line: int
    region: Region
    accepted: Accepted
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object that `enqueue` prints."""
        one = self.accepted
        row: dict[str, object] = {"line": self.line, "id": one.id, "state": str(one.state), "duplicate": one.duplicate}
        row |= {"conflict": True} if one.conflict else {}
        return row | ({"warnings": list(self.warnings)} if self.warnings else {})
