"""The families of files: each has its own endpoint at CustomerGauge."""

from __future__ import annotations

from typing import Literal, get_args

Family = Literal["transactional", "contact", "historical", "activity"]
FAMILIES: tuple[Family, ...] = get_args(Family)
