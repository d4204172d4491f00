"""Run random histories of one region: several workers, beats and operators, on a clock that jumps both ways.

After every step the store must be consistent, and each answer to a worker must be possible. For a longer run, which
also shortens a history that fails: `pytest tests/contract/test_state_machine.py --hypothesis-profile=deep --timeout=0`.
"""

from __future__ import annotations

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from support.factories import record
from support.ledger_harness import Bench
from support.region_history import History


def test_no_history_breaks_the_ledger(client: redis.Redis) -> None:
    class OnThisStore(History):
        pass

    OnThisStore.client = client
    real = isinstance(client, redis.Redis) and type(client) is redis.Redis
    deep = settings.get_current_profile_name() == "deep"
    how = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    if not deep:  # to shorten a history takes minutes
        how = settings(how, max_examples=60 if real else 15, stateful_step_count=40, phases=[Phase.generate])
    run_state_machine_as_test(OnThisStore, settings=how)


def test_the_check_itself_finds_a_job_in_two_places(bench: Bench) -> None:
    [job_id] = bench.put(record())
    bench.client.zadd("gaugepost:{eu}:parked", {job_id: 1})
    assert bench.truth().faults == [f"{job_id} is queued and is in ['parked', 'ready:']"]
    bench.client.zrem("gaugepost:{eu}:parked", job_id)
    bench.client.hincrby("gaugepost:{eu}:counts", "queued", 1)
    with pytest.raises(AssertionError):
        assert bench.truth().faults == []
    bench.client.hincrby("gaugepost:{eu}:counts", "queued", -1)
