"""Compare the accepted jobs with the simulator's effects and with the jobs' records."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from support.chaos.canary_audit import sent_before_canary
from support.chaos.load import HOLD, Sent
from support.ledger_truth import Truth

_Json = dict[str, Any]
_UNREADABLE = "answered 200, not readable"
_MAY_BE_UNKNOWN = {
    "record": {"answer lost"},
    "response": {"answer lost"},
    "personal_link": {"link lost", _UNREADABLE},
    "close_loop": {_UNREADABLE},
}
"""Kind → the reasons for which the policy makes a job `unknown`."""
_ONCE = frozenset({"response", "file"})
"""Kinds whose sending mark is on a replica before the first byte leaves."""
NO_EFFECT = 501
"""The status of failures without an effect. All other failures have one."""
WORKER_LOST = "the worker that held it was lost"
"""The message on the record of a job that a lost worker held."""
_MAY_BE_DEAD = {
    "personal_link": {"duplicate"},
    "close_loop": {"unrecognised_400"},
    "record": {"server_error", "lost_answer"},
}
"""Kind → the verdicts that a doomed job may end with. The last answer to a poison record may have been cut."""


@dataclass
class Totals:
    """The result of a run. Each sort of fault has its own list of descriptions."""

    jobs: int = 0
    effects: int = 0
    effects_under_fire: int = 0
    """Effects before the faults ended."""
    delivered: int = 0
    dead: int = 0
    unknown: int = 0
    doubled_with_lost_answers: int = 0
    forgotten: int = 0
    """Jobs sent twice because a fail-over forgot their claim or settlement: additional effects, and links that died as
    duplicates."""
    slowed_uploads: int = 0
    """Uploads that arrived less than the interval apart because the first one was slow."""
    lost: list[str] = field(default_factory=list)
    unknown_without_cause: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    """Jobs that arrived before their deliver_at."""
    before_canary: list[str] = field(default_factory=list)
    """Jobs of a batch that arrived before its canary."""
    early_uploads: list[str] = field(default_factory=list)
    second_jobs: list[str] = field(default_factory=list)
    untruths: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    """Fault → how often it happened."""

    def wrong(self) -> list[str]:
        """List all faults."""
        named = {
            "lost": self.lost,
            "unknown without cause": self.unknown_without_cause,
            "doubled": self.doubled,
            "out of order": self.out_of_order,
            "early": self.early,
            "before its canary": self.before_canary,
            "early upload": self.early_uploads,
            "second job": self.second_jobs,
            "ledger": self.untruths,
        }
        return [f"{name}: {one}" for name, found in named.items() for one in found]


class Audit:
    """Counts the faults of a finished run."""

    def __init__(
        self,
        accepted: Mapping[str, Sent],
        truths: Mapping[str, Truth],
        effects: Sequence[_Json],
        departed: Container[str],
        *,
        forgets: bool = False,
    ) -> None:
        """`truths`: region → content of Redis. `departed`: jobs of which bytes left a worker.

        `forgets`: a fail-over of Redis forgets claims and settlements, so that jobs may be sent twice.
        """
        self._forgets = forgets
        self._departed = departed
        self._sent = {sent.id: sent for sent in accepted.values()}
        self._truths = truths
        self._effects = effects
        self._of: defaultdict[str, list[_Json]] = defaultdict(list)
        for effect in effects:
            self._of[str(effect["idempotency_key"])].append(effect)
        self.totals = Totals(jobs=len(accepted), effects=len(effects))

    def count(self, upload_interval: float) -> Totals:
        for sent in self._sent.values():
            self._check_end(sent)
            self._check_doubles(sent)
            self._check_time(sent)
        self._check_second_jobs()
        self._check_order()
        self._check_uploads(upload_interval)
        self.totals.before_canary = list(sent_before_canary(self._truths, self._effects))
        self.totals.untruths = [
            f"{region}: {fault}" for region, truth in self._truths.items() for fault in _faults(truth)
        ]
        return self.totals

    def _check_end(self, sent: Sent) -> None:
        """Check that each job arrived, or ended by the policy of its kind with the reason on its record."""
        job = self._truths[sent.region].jobs.get(sent.id, {"state": "nowhere"})
        match job["state"]:
            case "delivered":
                self.totals.delivered += 1
                fits = bool(self._of[sent.id])
            case "dead":
                self.totals.dead += 1
                refused = sent.doomed and job.get("verdict") in _MAY_BE_DEAD[sent.kind]
                fits = refused and len(self._of[sent.id]) <= unclear_answers(job, sent)
            case "unknown":
                self.totals.unknown += 1
                fits = job.get("reason") in _MAY_BE_UNKNOWN.get(sent.kind, ())
                if not self._may_have_gone_out(sent, job):
                    self.totals.unknown_without_cause.append(f"{sent} with {len(self._of[sent.id])} effects")
            case _:
                fits = False
        if not fits and self._is_link_of_forgotten_sending(sent, job):
            self.totals.forgotten += 1
        elif not fits:
            reasons = [job.get(name) for name in ("reason", "verdict")]
            self.totals.lost.append(f"{sent} is {job['state']} {reasons} with {len(self._of[sent.id])} effects")

    def _may_have_gone_out(self, sent: Sent, job: Mapping[str, str]) -> bool:
        """Return whether a lost worker may have sent the job, or its request had an unclear answer."""
        lost_with_worker = any(entry.get("message") == WORKER_LOST for entry in _attempts(job))
        return lost_with_worker or (unclear_answers(job, sent) > 0 and sent.id in self._departed)

    def _is_link_of_forgotten_sending(self, sent: Sent, job: Mapping[str, str]) -> bool:
        """Return whether the ledger forgot a link's first request, so that CustomerGauge refused the second."""
        return self._forgets and (sent.kind, job.get("verdict")) == ("personal_link", "duplicate")

    def _check_doubles(self, sent: Sent) -> None:
        """Check that each additional request follows an unclear answer on the record."""
        again = len(self._of[sent.id]) - 1
        if again <= 0:
            return
        if again <= unclear_answers(self._truths[sent.region].jobs.get(sent.id, {}), sent):
            self.totals.doubled_with_lost_answers += again
        elif self._forgets and not sent.once:
            self.totals.forgotten += again
        else:
            self.totals.doubled.append(f"{sent} has {again + 1} effects")

    def _check_time(self, sent: Sent) -> None:
        """Check that a job with a deliver_at arrived after that time."""
        first = min((float(effect["received_at"]) for effect in self._of[sent.id]), default=sent.due)
        if first < sent.due:
            self.totals.early.append(f"{sent}: {sent.due - first:.3f} s")

    def _check_second_jobs(self) -> None:
        ledger = {job_id for truth in self._truths.values() for job_id in truth.jobs}
        self.totals.second_jobs += [f"{job_id} in the ledger, of no producer" for job_id in ledger - self._sent.keys()]
        for job_id in self._of.keys() - self._sent.keys():
            if self._forgets and not any(_goes_out_once(effect) for effect in self._of[job_id]):
                self.totals.forgotten += len(self._of[job_id])  # the producer got an error, and enqueued the job again
            else:
                self.totals.second_jobs.append(f"{job_id} at CustomerGauge, of no producer")

    def _check_order(self) -> None:
        """Check that changes of a case arrive in order. One with a lost answer arrives again before the next one.

        After a fail-over several may arrive again: then the last arrivals are in order.
        """
        newest: dict[tuple[str, str], int] = {}
        last = {effect["idempotency_key"]: effect for effect in self._effects}
        for effect in sorted(last.values(), key=lambda effect: int(effect["n"])) if self._forgets else self._effects:
            sent = self._sent.get(str(effect["idempotency_key"]))
            if sent is None or not sent.case:
                continue
            case = (sent.region, sent.case)
            if sent.turn < newest.get(case, -1):
                self.totals.out_of_order.append(f"{sent} after change {newest[case]}")
            newest[case] = max(sent.turn, newest.get(case, -1))

    def _check_uploads(self, interval: float) -> None:
        """Check that uploads start far enough apart. A slow upload arrives late, but does not start late."""
        for region, truth in self._truths.items():
            files = [effect for effect in self._effects if (effect["region"], effect["kind"]) == (region, "file")]
            files.sort(key=lambda effect: float(effect["received_at"]))
            for first, second in itertools.pairwise(files):
                gap = second["received_at"] - first["received_at"]
                slow = longest_exchange_s(truth.jobs.get(str(first["idempotency_key"]), {}))
                self.totals.slowed_uploads += gap < interval <= gap + slow
                if gap + slow < interval:
                    self.totals.early_uploads.append(f"{region}: {gap:.3f} s, {slow:.3f} s on its way")


def unclear_answers(job: Mapping[str, str], sent: Sent) -> int:
    """Count the unclear answers on a job's record: only lost ones if the job may be sent only once.

    A job that may be sent twice is also sent again after a server error, and after a success with an unreadable body,
    which its record calls a server error. Faults without an effect answer with their own status.
    """
    attempts = _attempts(job)
    lost = sum(entry["verdict"] == "lost_answer" for entry in attempts)
    errors = sum(entry["verdict"] == "server_error" and entry.get("status") != NO_EFFECT for entry in attempts)
    return lost if sent.once else lost + errors


def _goes_out_once(effect: _Json) -> bool:
    return effect["kind"] in _ONCE or HOLD in json.dumps(effect["body"])


def longest_exchange_s(job: Mapping[str, str]) -> float:
    """Return the duration of the longest answered attempt: its first byte arrived in less time."""
    return max((entry["ms"] / 1000 for entry in _attempts(job) if entry.get("status") is not None), default=0.0)


def _attempts(job: Mapping[str, str]) -> list[_Json]:
    entries = (json.loads(line) for line in job.get("history", "").splitlines())
    return [entry for entry in entries if entry["event"] == "attempt"]


def _faults(truth: Truth) -> list[str]:
    """Leave out faults that come only from several regions in one Redis, or from Celery's keys."""
    return [fault for fault in truth.faults if not fault.startswith("a key without the region's hash tag")]
