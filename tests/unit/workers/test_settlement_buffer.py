"""Settlements while Redis is reachable and while it is not. The store in memory replaces Redis."""

from __future__ import annotations

from dataclasses import replace

from gaugepost.ledger import Settlement
from gaugepost.testing import Memory
from gaugepost.transitions import Decision, Delivered
from gaugepost_workers.settlement_buffer import SettlementBuffer
from support.factories import record
from support.ledger_harness import Bench


def test_settlements_are_kept_until_redis_is_back() -> None:
    memory = Memory()
    bench = Bench(memory.client)
    bench.put(record())
    settlement = Settlement(bench.claim()[0], Decision(Delivered()))
    buffer = SettlementBuffer(bench.ledger)
    buffer.add([settlement])
    memory.set_reachable(yes=False)
    assert (buffer.flush(), len(buffer)) == ([], 1)
    memory.set_reachable(yes=True)
    assert buffer.flush() == [(settlement, True)]
    assert (buffer.flush(), len(buffer)) == ([], 0)


def test_settlement_under_an_old_fencing_token_is_refused() -> None:
    bench = Bench(Memory().client)
    [job_id] = bench.put(record())
    claimed = bench.claim()[0]
    buffer = SettlementBuffer(bench.ledger)
    buffer.add([Settlement(replace(claimed, fence=claimed.fence - 1), Decision(Delivered()))])
    assert [is_accepted for _, is_accepted in buffer.flush()] == [False]
    assert bench.state(job_id) == "sending"
