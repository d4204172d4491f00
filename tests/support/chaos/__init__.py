"""Everything breaks at random, and at the end somebody counts: what `make chaos` runs long, and CI runs short.

`hosts` are what is killed and whose clocks jump, `load` is who enqueues, `faults` is the seeded schedule, `audit`
counts, and `run` puts them together. docs/chaos.md says what is promised and how to read a result.
"""

from support.chaos.audit import Totals
from support.chaos.run import chaos

__all__ = ["Totals", "chaos"]
