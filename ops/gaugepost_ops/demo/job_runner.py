"""Sends the demo's jobs, act by act, and waits until each is where it must be, or clearly is not."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gaugepost.errors import InvalidJob
from gaugepost.jobs import parse_job
from gaugepost.regions import Region
from gaugepost_ops.demo import scenarios
from gaugepost_ops.demo.environment import UPLOAD_INTERVAL_S, DemoFailed, Stage, credentials
from gaugepost_ops.demo.outcome import Outcome, of_refusal, of_view

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gaugepost.client import Producer
    from gaugepost.jobs import JobBase
    from gaugepost.ledger import JobView
    from gaugepost_ops.demo.report import Reporter
    from gaugepost_ops.demo.scenarios import Case

_POLL_S = 0.1
_FIRST_DEADLINE_S = 45.0  # the workers start meanwhile
_DEADLINE_S = 40.0
_NEW_TEXT = {
    "match": {"endpoint": "records", "contains": scenarios.NEW_TEXT_EMAIL},
    "fault": "status",
    "code": 422,
    "body": {"message": "The record could not be handled at this moment."},
}
_KNOBS = {"repeat_email_is_duplicate": True, "upload_interval": UPLOAD_INTERVAL_S}


class Play:
    """One performance; `outcomes` fills as jobs come to rest."""

    def __init__(self, stage: Stage, producer: Producer, reporter: Reporter) -> None:
        self._stage = stage
        self._producer = producer
        self._reporter = reporter
        self._open: dict[str, list[Case]] = {}
        self.outcomes: list[Outcome] = []

    def run(self) -> None:
        """Play all acts."""
        self._before_there_is_anybody()
        self._kinds_and_failures()
        self._region_wide()

    # Acts

    def _before_there_is_anybody(self) -> None:
        job_id = self._enqueue(scenarios.UNREACHABLE)
        self._until(
            job_id,
            lambda view: bool(view.history.attempts()),
            "no worker took the first job",
            deadline_s=_FIRST_DEADLINE_S,
        )
        self._reporter.step("CustomerGauge could not be reached; the simulator starts now")
        self._stage.start_simulator()
        self._stage.wait_for_flower()  # it shows only what is done from now on
        self._stage.control.knobs(**_KNOBS)
        self._stage.control.fault(**_NEW_TEXT)

    def _kinds_and_failures(self) -> None:
        self._reporter.step("one job of every kind, and one for each failure that leaves the others alone")
        for case in (*scenarios.KINDS, *scenarios.FAILURES):
            self._enqueue(case)
        self._rest()

    def _region_wide(self) -> None:
        self._reporter.step("what concerns a whole region: tokens revoked (eu), throttling (us), key refused (au)")
        self._enqueue(replace(scenarios.DELETE, job={**scenarios.DELETE.job, "upload_id": self._upload_id("march.")}))
        self._rest()
        self._stage.control.revoke("eu")
        self._enqueue(scenarios.UNAUTHENTICATED)
        self._stage.control.knobs(credentials={"au": {"api_key": "another"}})
        refused = self._enqueue(scenarios.REFUSED_CREDENTIALS)
        throttled, neighbour = scenarios.THROTTLED
        self._until_held(self._enqueue(throttled), "throttled")
        self._enqueue(neighbour)
        self._until_held(refused, "refused_credentials")
        self._reporter.step("the key is right again: what needs it in au is resumed by hand")
        self._stage.control.knobs(credentials={"au": {"api_key": credentials("au")["api_key"]}})
        self._producer.ledger(Region.AU).resume("credentials:api_key")
        self._rest()

    def _upload_id(self, filename: str) -> int:
        """Return the id of an upload, which a person would read in CustomerGauge."""
        for effect in self._stage.control.effects():
            if effect["kind"] == "file" and effect["body"]["filename"].startswith(filename):
                return int(effect["body"]["upload_id"])
        raise DemoFailed(f"no upload of {filename}")

    # Enqueue

    def _enqueue(self, case: Case) -> str:
        """Enqueue it as a service would; what is refused at the door is at rest at once."""
        try:
            receipt = self._producer.enqueue(_job_of(case))
        except InvalidJob as refusal:
            self._settle([of_refusal(case, refusal)])
            return ""
        if receipt.duplicate != (case.act == "enqueue again"):
            self._settle([Outcome(case, receipt.id, "second job" if case.act else "duplicate", ())])
            return receipt.id
        self._open.setdefault(receipt.id, []).append(case)
        if case.act == "cancel":
            receipt.cancel()
        return receipt.id

    # Wait

    def _rest(self) -> None:
        """Wait until all open jobs are as they must be; those that are not by then are taken as they are."""
        deadline = time.monotonic() + _DEADLINE_S
        while self._open:
            found = [of_view(case, self._view(job_id)) for job_id, cases in self._open.items() for case in cases]
            late = time.monotonic() > deadline
            self._settle([one for one in found if late or one.is_final or not one.differences()])
            if self._open:
                self._stage.check()
                time.sleep(_POLL_S)

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            cases = self._open.get(outcome.id, [outcome.case])
            cases.remove(outcome.case)
            if not cases:
                self._open.pop(outcome.id, None)
        self.outcomes += outcomes
        self._reporter.progress(len(self.outcomes))

    def _until_held(self, job_id: str, verdict: str) -> None:
        reason = scenarios.HELD_REASON[verdict]
        self._until(
            job_id, lambda view: (view.reason or "").startswith(reason), f"no job waits for the reason {reason!r}"
        )

    def _until(
        self, job_id: str, is_so: Callable[[JobView], bool], otherwise: str, *, deadline_s: float = _DEADLINE_S
    ) -> None:
        deadline = time.monotonic() + deadline_s
        while not is_so(view := self._view(job_id)):
            self._stage.check()
            if view.has_ended or time.monotonic() > deadline:
                raise DemoFailed(f"{otherwise}; see the logs in {self._stage.folder}")
            time.sleep(_POLL_S / 4)

    def _view(self, job_id: str) -> JobView:
        return self._producer.job(job_id)


def _job_of(case: Case) -> JobBase:
    """Read the case's job, as from a line of JSON. Raises InvalidJob."""
    data: dict[str, Any] = {**case.job, "source": "demo"}
    if case.expires_in is not None:
        data["expires_at"] = datetime.now(UTC) + timedelta(seconds=case.expires_in)
    return parse_job(data)
