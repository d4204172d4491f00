"""Test kit for services that use gaugepost; docs/testing.md has examples.

`MemoryProducer` and `AsyncMemoryProducer` replace `Producer` and `AsyncProducer` in unit tests: they have the same
calls and run the same ledger scripts, without a network. `Parts` starts real workers and beat for integration tests.
The pytest plugin `gaugepost_ops.pytest_plugin` has fixtures for all of them.
"""

from __future__ import annotations

from gaugepost.testing.memory import Memory
from gaugepost.testing.processes import Parts
from gaugepost.testing.producers import AsyncMemoryProducer, MemoryProducer

__all__ = ["AsyncMemoryProducer", "Memory", "MemoryProducer", "Parts"]
