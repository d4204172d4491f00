"""Enqueue the demo's jobs in three steps, and wait until each has the expected outcome, or a final other one."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gaugepost.errors import InvalidJob
from gaugepost.jobs import parse_job
from gaugepost.regions import Region
from gaugepost_ops.demo import scenarios
from gaugepost_ops.demo.environment import UPLOAD_INTERVAL_S, Environment, credentials
from gaugepost_ops.demo.errors import DemoFailed
from gaugepost_ops.demo.outcome import Outcome, of_refusal, of_view

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gaugepost.client import Producer
    from gaugepost.jobs import JobBase
    from gaugepost.ledger import JobView
    from gaugepost_ops.demo.report import Reporter
    from gaugepost_ops.demo.scenarios import Scenario

_POLL_S = 0.1
_FIRST_DEADLINE_S = 45.0  # includes the start of the workers
_DEADLINE_S = 40.0
_NEW_TEXT = {
    "match": {"endpoint": "records", "contains": scenarios.NEW_TEXT_EMAIL},
    "fault": "status",
    "code": 422,
    "body": {"message": "The record could not be handled at this moment."},
}
_KNOBS = {"repeat_email_is_duplicate": True, "upload_interval": UPLOAD_INTERVAL_S}


class JobRunner:
    """Runs all scenarios once, and collects their outcomes in `outcomes`."""

    def __init__(self, environment: Environment, producer: Producer, reporter: Reporter) -> None:
        self._environment = environment
        self._producer = producer
        self._reporter = reporter
        self._open: dict[str, list[Scenario]] = {}
        self.outcomes: list[Outcome] = []

    def run(self) -> None:
        """Run all scenarios. Raises DemoFailed."""
        self._enqueue_before_the_simulator_runs()
        self._enqueue_kinds_and_failures()
        self._enqueue_region_wide_failures()

    # Steps

    def _enqueue_before_the_simulator_runs(self) -> None:
        job_id = self._enqueue(scenarios.UNREACHABLE)
        self._wait_until(
            job_id,
            lambda view: bool(view.history.attempts()),
            "no worker took the first job",
            deadline_s=_FIRST_DEADLINE_S,
        )
        self._reporter.step("CustomerGauge could not be reached; the simulator starts now")
        self._environment.start_simulator()
        self._environment.wait_for_servers()  # Flower shows only events that come after its start
        self._environment.control.knobs(**_KNOBS)
        self._environment.control.fault(**_NEW_TEXT)

    def _enqueue_kinds_and_failures(self) -> None:
        self._reporter.step("one job of every kind, two scheduled ones, and one for each failure of a single job")
        for scenario in (*scenarios.KINDS, *scenarios.SCHEDULED, *scenarios.FAILURES):
            self._enqueue(scenario)
        self._enqueue_by_http()
        self._wait_for_open_jobs()

    def _enqueue_by_http(self) -> None:
        """Send a job to the gateway, and show how a person does the same."""
        scenario, gateway = scenarios.OVER_HTTP, self._environment.gateway
        if gateway is not None:
            self._reporter.step(f"a job by HTTP, as any language can send it: {gateway.curl_line(scenario.job)}")
            self._open[gateway.enqueue(scenario.job)] = [scenario]

    def _enqueue_region_wide_failures(self) -> None:
        self._reporter.step("failures of a whole region: tokens revoked (eu), throttling (us), API key refused (au)")
        self._enqueue(replace(scenarios.DELETE, job={**scenarios.DELETE.job, "upload_id": self._upload_id("march.")}))
        self._wait_for_open_jobs()
        self._environment.control.revoke("eu")
        self._enqueue(scenarios.UNAUTHENTICATED)
        self._environment.control.knobs(credentials={"au": {"api_key": "another"}})
        refused = self._enqueue(scenarios.REFUSED_CREDENTIALS)
        throttled, neighbour = scenarios.THROTTLED
        self._wait_until_held(self._enqueue(throttled), "throttled")
        self._enqueue(neighbour)
        self._wait_until_held(refused, "refused_credentials")
        self._reporter.step("the API key is right again: gaugepost resume au --credentials api_key")
        self._environment.control.knobs(credentials={"au": {"api_key": credentials("au")["api_key"]}})
        self._producer.ledger(Region.AU).resume("credentials:api_key")
        self._wait_for_open_jobs()

    def _upload_id(self, filename: str) -> int:
        """Return the id of an upload, as a person would read it in CustomerGauge. Raises DemoFailed."""
        for effect in self._environment.control.effects():
            if effect["kind"] == "file" and effect["body"]["filename"].startswith(filename):
                return int(effect["body"]["upload_id"])
        raise DemoFailed(f"no upload of {filename}")

    # Enqueue

    def _enqueue(self, scenario: Scenario) -> str:
        """Enqueue a scenario's job as a service would, and return its id; empty if it is refused."""
        try:
            receipt = self._producer.enqueue(_job_of(scenario))
        except InvalidJob as refusal:
            self._record_outcomes([of_refusal(scenario, refusal)])
            return ""
        if receipt.duplicate != (scenario.act == "enqueue again"):
            self._record_outcomes([Outcome(scenario, receipt.id, "second job" if scenario.act else "duplicate", ())])
            return receipt.id
        self._open.setdefault(receipt.id, []).append(scenario)
        if scenario.act == "cancel":
            receipt.cancel()
        elif scenario.act == "cancel by key":
            self._producer.cancel(key=str(scenario.job["idempotency_key"]), region=Region(scenario.region))
        return receipt.id

    # Wait

    def _wait_for_open_jobs(self) -> None:
        """Wait until all open jobs have the expected outcome or a final one; at the deadline, take them as they are."""
        deadline = time.monotonic() + _DEADLINE_S
        while self._open:
            found = [
                of_view(scenario, self._view(job_id))
                for job_id, open_scenarios in self._open.items()
                for scenario in open_scenarios
            ]
            late = time.monotonic() > deadline
            self._record_outcomes([one for one in found if late or one.is_final or not one.differences()])
            if self._open:
                self._environment.check()
                time.sleep(_POLL_S)

    def _record_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            open_scenarios = self._open.get(outcome.id, [outcome.scenario])
            open_scenarios.remove(outcome.scenario)
            if not open_scenarios:
                self._open.pop(outcome.id, None)
        self.outcomes += outcomes
        self._reporter.progress(len(self.outcomes))

    def _wait_until_held(self, job_id: str, verdict: str) -> None:
        reason = scenarios.HELD_REASON[verdict]
        self._wait_until(
            job_id, lambda view: (view.reason or "").startswith(reason), f"no job waits for the reason {reason!r}"
        )

    def _wait_until(
        self, job_id: str, is_so: Callable[[JobView], bool], otherwise: str, *, deadline_s: float = _DEADLINE_S
    ) -> None:
        deadline = time.monotonic() + deadline_s
        while not is_so(view := self._view(job_id)):
            self._environment.check()
            if view.has_ended or time.monotonic() > deadline:
                raise DemoFailed(f"{otherwise}; see the logs in {self._environment.folder}")
            time.sleep(_POLL_S / 4)

    def _view(self, job_id: str) -> JobView:
        return self._producer.job(job_id)


def _job_of(scenario: Scenario) -> JobBase:
    """Return the job of a scenario. Raises InvalidJob."""
    data: dict[str, Any] = {**scenario.job, "source": "demo"}
    for field, seconds in {"deliver_at": scenario.deliver_in, "expires_at": scenario.expires_in}.items():
        if seconds is not None:
            data[field] = datetime.now(UTC) + timedelta(seconds=seconds)
    return parse_job(data)
