"""Break processes at random, and audit the result. `make chaos` makes a long run, CI a short one.

`hosts` are the machines that die and whose clocks jump, `load` enqueues jobs, `faults` has the seeded schedule, `audit`
counts, and `run` combines them. docs/chaos.md lists the faults and explains a result.
"""

from support.chaos.audit import Totals
from support.chaos.run import chaos

__all__ = ["Totals", "chaos"]
