"""Run random histories of one region: several workers, beats and operators, on a clock that jumps both ways.

After every step the store must be consistent, and each answer to a worker must be possible. For a longer run:
`pytest tests/contract/test_state_machine.py --hypothesis-profile=deep`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gaugepost.ledger import Edit, Entry, Settlement
from gaugepost.transitions import (
    Dead,
    Decision,
    Delivered,
    Held,
    HoldSpec,
    Parked,
    Phase,
    Requeued,
    Resend,
    Streak,
    Unknown,
)
from gaugepost.verdict import Verdict
from support.factories import case, file_delete, file_set, link, record, upload
from support.ledger_harness import LEASE_MS, SLOT_MS, Bench, attempt, breaker, mapping_hold

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed
    from support.ledger_truth import Truth

FINAL = {"delivered", "cancelled", "expired"}
WORKERS = ("w1", "w2", "w3")
_FILE_CONTENT = b"Email\na@b.example\n"
_NO_KEY = HoldSpec("credentials:api_key", "no key", Verdict.REFUSED_CREDENTIALS, (60_000,))


@dataclass
class Seen:
    """What the test knows about a job from its own calls."""

    number: int
    lane: str | None
    fence: int = 0
    holder: Claimed | None = None
    settled_by: Claimed | None = None
    replayed: bool = False
    phase: Phase = Phase.NONE
    final: str | None = None


def make_job(kind: str, mapping: int, expires: datetime | None, key: str | None) -> Any:
    more: dict[str, Any] = {"expires_at": expires, "idempotency_key": key, "source": (None, "bulk")[mapping]}
    match kind:
        case "record":
            return record(configuration=f"m{mapping}", **more)
        case "link":
            return link(configuration=f"m{mapping}", **more)
        case "case":
            return case(mapping, **more)
        case "file_delete":
            return file_delete(**more)
        case _:
            return upload(content=_FILE_CONTENT, **more)


KINDS = st.sampled_from(["record", "link", "case", "case", "file_delete", "file"])


class History(RuleBasedStateMachine):
    """One region's history."""

    client: redis.Redis

    @initialize()
    def begin(self) -> None:
        self.client.flushall()
        self.bench = Bench(self.client, retention_delivered="1h", retention_dead="2h")
        self.jobs: dict[str, Seen] = {}
        self.keys: dict[str, str] = {}
        self.entries: list[Entry] = []
        self.given: list[Claimed] = []
        self.last_claim: dict[str, tuple[str, int, bool]] = {}
        self.slot_starts: dict[tuple[str, int], int] = {}
        self.sets: dict[str, str] = {}
        self.probes: dict[str, tuple[Claimed, int]] = {}
        self.calls = 0

    # Whoever enqueues

    @rule(
        kinds=st.lists(st.tuples(KINDS, st.integers(0, 1)), min_size=1, max_size=4),
        key=st.sampled_from([None, None, "k1", "k2"]),
        expires_s=st.sampled_from([None, None, None, 30, 400]),
    )
    def enqueue(self, kinds: list[tuple[str, int]], key: str | None, expires_s: int | None) -> None:
        expires = datetime.fromtimestamp(self.bench.clock.ms / 1000 + expires_s, UTC) if expires_s else None
        entries = [Entry.of(make_job(kind, mapping, expires, key)) for kind, mapping in kinds]
        for entry, accepted in zip(entries, self.bench.ledger.enqueue(entries), strict=True):
            if entry.job.idempotency_key in self.keys:
                assert accepted.duplicate
                assert accepted.id == self.keys[key or ""]
                continue
            assert (accepted.id, accepted.duplicate) == (entry.id, False)
            self.jobs[entry.id] = Seen(len(self.jobs), entry.job.lane)
            self.entries.append(entry)
            if key:
                self.keys[key] = entry.id

    @precondition(lambda self: self.entries)
    @rule(which=st.integers(0))
    def repeat_an_enqueue(self, which: int) -> None:
        entry = self.entries[which % len(self.entries)]
        before = self.bench.truth()
        if entry.id not in before.jobs and entry.job.idempotency_key is None:
            return  # forgotten by now: no client repeats a call for an hour
        self.bench.ledger.enqueue([entry])
        assert self.bench.truth().jobs == before.jobs

    @rule(parts=st.integers(1, 3), content=st.sampled_from("ab"), again=st.booleans(), first=st.booleans())
    def enqueue_a_set(self, parts: int, content: str, again: bool, first: bool) -> None:
        files, entries = file_set(parts, content=content)
        for entry in entries:
            self.bench.ledger.file_sets.stage(entry.id, _FILE_CONTENT)
        times = 2 if again else 1
        ids = {self.bench.ledger.file_sets.enqueue(files, entries, again=again, first=first) for _ in range(times)}
        self.bench.ledger.file_sets.unstage(files.parts)  # also after an answer that was lost: what was accepted stays
        if content in self.sets and not again:
            assert ids == {self.sets[content]}
            return
        assert ids == {files.id}
        self.sets[content] = files.id
        for entry in entries:
            self.jobs[entry.id] = Seen(len(self.jobs), "files")

    # Workers

    @rule(worker=st.sampled_from(WORKERS), limit=st.integers(1, 5), urgent_only=st.integers(0, 5))
    def claim(self, worker: str, limit: int, urgent_only: int) -> None:
        self.calls += 1
        self._claim(worker, f"t{self.calls}", limit, urgent_only=urgent_only == 0)

    def _claim(self, worker: str, token: str, limit: int, *, urgent_only: bool = False) -> None:
        taken = self.bench.claim(limit, worker, token, urgent_only=urgent_only)
        after = self.bench.truth()
        self.last_claim[worker] = (token, limit, bool(taken))
        for claimed in taken:
            seen = self.jobs[claimed.id]
            assert seen.holder is None, "two live holders of one lease"
            assert claimed.fence > seen.fence, "a fencing token that does not rise"
            assert claimed.phase is seen.phase, "a sent file is looked up, and another is sent"
            self._check_lane(claimed.id, after)
            seen.fence, seen.holder = claimed.fence, claimed
            self._check_probe(claimed)
            self.given.append(claimed)

    def _check_probe(self, claimed: Claimed) -> None:
        """Check that each hold has one probe in flight, or that the one before is lost."""
        if claimed.probe is None:
            return
        before, until = self.probes.get(claimed.probe, (claimed, 0))
        assert self.jobs[before.id].holder in (None, claimed) or until <= self.bench.clock.ms, "two probes of one hold"
        self.probes[claimed.probe] = (claimed, self.bench.clock.ms + 2 * LEASE_MS)

    def _check_lane(self, job_id: str, after: Truth) -> None:
        me = self.jobs[job_id]
        if me.lane in {None, "files"}:
            return
        for other_id, other in self.jobs.items():
            if other.lane == me.lane and other.number < me.number and not other.replayed:
                assert after.state(other_id) in {None, "dead", *FINAL}, "a job overtook an earlier one of its lane"

    @precondition(lambda self: self.last_claim)
    @rule(data=st.data())
    def repeat_a_claim(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.last_claim)))
        token, limit, took = self.last_claim[worker]
        if not took:  # a call that took nothing may as well take something now
            self._claim(worker, token, limit)
            return
        for claimed in self.bench.claim(limit, worker, token):
            assert claimed == self.jobs[claimed.id].holder, "a repeated call gave what it does not hold"

    @precondition(lambda self: self.given)
    @rule(
        which=st.integers(0, 10),
        what=st.sampled_from(
            [
                "delivered",
                "delivered",
                "delivered",
                "parked",
                "held",
                "followed",
                "followed",
                "unclear",
                "resend",
                "throttled",
                "broken",
                "no_key",
                "queued",
                "dead",
                "unknown",
            ]
        ),
        answered=st.booleans(),
        twice=st.booleans(),
    )
    def settle(self, which: int, what: str, answered: bool, twice: bool) -> None:
        """Settle mostly as the newest holder, and sometimes as one that lost the job long ago."""
        claimed = self.given[-1 - which % len(self.given)]
        seen = self.jobs[claimed.id]
        settlement = self._settlement(claimed, what, answered)
        times = 2 if twice else 1
        mine = seen.holder is claimed
        done = self.bench.ledger.settle([settlement] * times)
        assert not mine or done == [True, bool(settlement.attempts)][:times]  # repeated: known by its entry
        assert mine or not any(done) or (seen.settled_by is claimed and settlement.attempts)
        if mine:
            seen.holder, seen.settled_by = None, claimed
            match settlement.decision.transition:
                case Parked(phase=phase) if phase:
                    seen.phase = phase
                case Resend():
                    seen.phase = Phase.NONE

    def _settlement(self, claimed: Claimed, what: str, answered: bool) -> Settlement:  # noqa: C901 - a case a decision
        mapping = getattr(claimed.job, "configuration", None)
        tries = (attempt(claimed, Verdict.SERVER_ERROR if answered else Verdict.LOST_ANSWER),)
        match what:
            case "delivered":
                decision = Decision(Delivered({"a": 1}), ends_streaks=("server",))
                tries = (attempt(claimed, Verdict.DELIVERED),)
            case "parked":
                decision = Decision(Parked(20_000, "server_error"), streak=Streak("server", 3, breaker()))
            case "held" if mapping:
                held = Held(f"configuration:{mapping}", "unknown_mapping", 3_600_000)
                decision = Decision(held, counted=False, hold=mapping_hold(mapping))
                tries = (attempt(claimed, Verdict.UNKNOWN_MAPPING),)
            case "no_key" if claimed.job.needs == "api_key":
                decision, tries = Decision(Held(_NO_KEY.scope, "no key"), hold=_NO_KEY), ()
            case "followed" | "unclear" if claimed.job.kind == "file":
                phase = Phase.PROCESSING if what == "followed" else Phase.LOOKUP
                decision = Decision(Parked(20_000, phase.value, phase), counted=False)
            case "resend" if claimed.phase:
                decision, tries = Decision(Resend(), counted=False), ()
            case "throttled":
                throttle = HoldSpec("", "throttled", Verdict.THROTTLED, (30_000,))
                decision = Decision(Requeued(), counted=False, hold=throttle)
                tries = (attempt(claimed, Verdict.THROTTLED),)
            case "broken":
                decision = Decision(Requeued(), counted=False, hold=breaker())
            case "dead":
                decision = Decision(Dead(Verdict.INVALID_VALUE))
            case "unknown":
                decision = Decision(Unknown("answer lost"))
            case _:
                decision, tries = Decision(Requeued(), counted=False), ()
        return Settlement(claimed, decision, tries)

    @precondition(lambda self: self.given)
    @rule(which=st.integers(0, 10))
    def mark(self, which: int) -> None:
        claimed = self.given[-1 - which % len(self.given)]
        if claimed.phase:
            return  # the worker looks it up, and marks nothing
        held = self.jobs[claimed.id].holder is claimed
        before = self.bench.truth()
        done, wait = self.bench.ledger.mark(claimed)
        alive = held and before.sets["leases"][claimed.id] > self.bench.clock.ms
        assert (done >= 0) == alive
        if claimed.job.lane != "files" or done < 0:
            return
        if done == 0:
            assert 0 < wait <= SLOT_MS
            return
        mine, now = (claimed.id, claimed.fence), self.bench.clock.ms  # a repeated mark moves its own start
        others = [start for whose, start in self.slot_starts.items() if whose != mine]
        assert all(now - start >= SLOT_MS for start in others), "two slots within the interval"
        self.slot_starts[mine] = now

    @precondition(lambda self: self.given)
    @rule()
    def renew(self) -> None:
        assert self.bench.ledger.renew(self.given) == [self.jobs[one.id].holder is one for one in self.given]

    # Ticks

    @rule(how=st.sampled_from([Requeued(), Parked(20_000, "lost_answer"), Unknown("answer lost")]))
    def rescue(self, how: Any) -> None:
        lost = [one.claimed for one in self.bench.ledger.ended_leases()]
        assert self.bench.ledger.settle([Settlement(one, Decision(how)) for one in lost], rescue=True) == [True] * len(
            lost
        )
        for claimed in lost:
            assert self.jobs[claimed.id].holder is not None
            self.jobs[claimed.id].holder = None

    @rule()
    def promote(self) -> None:
        self.bench.ledger.promote()
        self.bench.ledger.open_slot()

    @rule()
    def sweep(self) -> None:
        self.bench.ledger.sweep()

    @rule(ms=st.sampled_from([1, 1000, 20_000, LEASE_MS, 300_000, SLOT_MS, 3_600_000]))
    def time_passes(self, ms: int) -> None:
        self.bench.clock.go(ms)

    @rule(ms=st.sampled_from([1, 5_000, SLOT_MS, 86_400_000]))
    def the_clock_steps_back(self, ms: int) -> None:
        self.bench.clock.step(-ms)

    @rule(ms=st.sampled_from([5_000, LEASE_MS, 86_400_000]))
    def the_clock_steps_forward(self, ms: int) -> None:
        self.bench.clock.step(ms)
        self.slot_starts.clear()  # the ledger restarts its measurement

    # People

    @precondition(lambda self: self.jobs)
    @rule(which=st.lists(st.integers(0, 60), min_size=1, max_size=3))
    def cancel(self, which: list[int]) -> None:
        self.bench.ledger.cancel(self._some(which))

    @precondition(lambda self: self.jobs)
    @rule(which=st.lists(st.integers(0, 60), min_size=1, max_size=3))
    def replay(self, which: list[int]) -> None:
        ids = self._some(which)
        dead = {job_id for job_id in ids if self.bench.state(job_id) == "dead"}
        for job_id, (_, done) in zip(ids, self.bench.ledger.replay(ids), strict=True):
            self.jobs[job_id].replayed |= done
            if job_id in dead:
                self.jobs[job_id].phase = Phase.NONE

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 60), case_number=st.integers(0, 1), read_before=st.booleans())
    def replay_as_another_case(self, which: int, case_number: int, read_before: bool) -> None:
        [job_id] = self._some([which])
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
        self.bench.ledger.resolve(self._some([which]), end)

    def _some(self, which: list[int]) -> list[str]:
        ids = list(self.jobs)
        return list({ids[number % len(ids)]: None for number in which})

    @rule(scope=st.sampled_from(["", "configuration:m0", "credentials:api_key"]), lasts=st.sampled_from([None, 20_000]))
    def hold(self, scope: str, lasts: int | None) -> None:
        self.probes.pop(scope, None)
        self.bench.ledger.hold(scope, "a person's", "ann", self.bench.clock.ms + lasts if lasts else None)

    @rule(scope=st.sampled_from(["", "", "configuration:m0", "configuration:m1", "credentials:api_key"]))
    def resume(self, scope: str) -> None:
        self.bench.ledger.resume(scope)

    # What must hold at any time

    @invariant()
    def everything_fits_together(self) -> None:
        if not hasattr(self, "bench"):
            return
        truth = self.bench.truth()
        assert truth.faults == []
        for job_id, seen in self.jobs.items():
            state = truth.state(job_id)
            if seen.final:
                assert state in {seen.final, None}, "a final state was left"
            elif state is None:
                raise AssertionError("an accepted job is gone")
            elif state in FINAL | {"dead"}:
                seen.final = state if state in FINAL else None
            assert (state == "sending") == (seen.holder is not None)
        for scope in set(self.probes) - set(truth.hashes.get("holds", {})):
            del self.probes[scope]  # the hold it was for is gone

    def teardown(self) -> None:
        """Lift all holds and let time pass: every open job can still be delivered."""
        if not hasattr(self, "bench"):
            return
        self.bench.clock.go(100 * 86_400_000)  # further than the clock can have stepped back
        for _ in range(3 * len(self.jobs) + 3):
            for scope in self.bench.ledger.holds():
                self.bench.ledger.resume(scope)
            self.bench.clock.go(SLOT_MS)
            for lost in self.bench.ledger.ended_leases():
                self.bench.settle(lost.claimed, Requeued(), rescue=True)
            self.bench.ledger.promote()
            for claimed in self.bench.claim():
                if claimed.phase or self.bench.ledger.mark(claimed)[0] == 1:
                    self.bench.settle(claimed)
        states = {state for state in self.bench.states(list(self.jobs)) if state}
        assert states <= {"delivered", "dead", "unknown", "cancelled", "expired", "waiting"}
        blocked = {seen.lane for job_id, seen in self.jobs.items() if self.bench.state(job_id) == "unknown"}
        for job_id, seen in self.jobs.items():
            if self.bench.state(job_id) == "waiting":
                assert seen.lane in blocked, "a job waits, and nothing will ever move it"


def test_no_history_breaks_the_ledger(client: redis.Redis) -> None:
    class OnThisStore(History):
        pass

    OnThisStore.client = client
    real = isinstance(client, redis.Redis) and type(client) is redis.Redis
    deep = settings.get_current_profile_name() == "deep"
    bounded = {} if deep else {"max_examples": 60 if real else 15, "stateful_step_count": 40}
    how = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), **bounded)
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
