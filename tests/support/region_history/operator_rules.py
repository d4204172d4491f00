"""Steps of operators in a random history."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import precondition, rule

from gaugepost.ledger import Edit
from gaugepost.transitions import Phase
from support.factories import case
from support.region_history.model import RegionHistory


class OperatorRules(RegionHistory):
    """Operators cancel, replay, edit, resolve, hold and resume."""

    @precondition(lambda self: self.jobs)
    @rule(which=st.lists(st.integers(0, 60), min_size=1, max_size=3))
    def cancel(self, which: list[int]) -> None:
        self.bench.ledger.cancel(self.some(which))

    @precondition(lambda self: self.jobs)
    @rule(which=st.lists(st.integers(0, 60), min_size=1, max_size=3))
    def replay(self, which: list[int]) -> None:
        ids = self.some(which)
        dead = {job_id for job_id in ids if self.bench.state(job_id) == "dead"}
        for job_id, (_, done) in zip(ids, self.bench.ledger.replay(ids), strict=True):
            self.jobs[job_id].replayed |= done
            if job_id in dead:
                self.jobs[job_id].phase = Phase.NONE

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 60), case_number=st.integers(0, 1), read_before=st.booleans())
    def replay_as_another_case(self, which: int, case_number: int, read_before: bool) -> None:
        [job_id] = self.some([which])
        view, seen = self.bench.view(job_id), self.jobs[job_id]
        if view is None or view.kind != "close_loop":
            return
        edited = Edit(case(case_number), view.revision - read_before, ())
        [(_, done)] = self.bench.ledger.replay([job_id], edits={job_id: edited})
        assert not (done and read_before), "the ledger took an edit of a job that was edited meanwhile"
        if done:
            seen.lane, seen.replayed = edited.job.lane, True

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 60), end=st.sampled_from(["delivered", "dead"]))
    def resolve(self, which: int, end: Any) -> None:
        self.bench.ledger.resolve(self.some([which]), end)

    @rule(scope=st.sampled_from(["", "configuration:m0", "credentials:api_key"]), lasts=st.sampled_from([None, 20_000]))
    def hold(self, scope: str, lasts: int | None) -> None:
        self.probes.pop(scope, None)
        self.bench.ledger.hold(scope, "a person's", "ann", self.bench.clock.ms + lasts if lasts else None)

    @rule(scope=st.sampled_from(["", "", "configuration:m0", "configuration:m1", "credentials:api_key", "batch:b2"]))
    def resume(self, scope: str) -> None:
        self.bench.ledger.resume(scope)
