"""For the tests of services that use gaugepost: producers in memory, and the real parts as processes.

`MemoryProducer` and `AsyncMemoryProducer` take the place of `Producer` and `AsyncProducer` in unit tests: the same
calls on the same ledger scripts, in this process. `Parts` runs workers and beat for tests of the whole way; the
fixtures of `gaugepost_ops.pytest_plugin` have all of them ready. docs/testing.md has an example.
"""

from __future__ import annotations

from gaugepost.testing.memory import Memory
from gaugepost.testing.processes import Parts
from gaugepost.testing.producers import AsyncMemoryProducer, MemoryProducer

__all__ = ["AsyncMemoryProducer", "Memory", "MemoryProducer", "Parts"]
