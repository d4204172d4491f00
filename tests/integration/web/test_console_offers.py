"""What the console offers for stuck jobs: only what changes something, and lists of just the jobs it names."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from html import unescape

from gaugepost import Region
from gaugepost.ledger.erasing import Person as Erased
from gaugepost.transitions import Delivered, Parked
from gaugepost.verdict import Verdict
from support.console import Person
from support.console_jobs import attempt, die, put, settle, stuck
from support.gateway import GatewayProcess
from support.wait import wait_until


def test_stuck_lists_the_jobs_that_each_hold_keeps(gateway: GatewayProcess, ann: Person) -> None:
    ledger = gateway.producer.ledger(Region.EU)
    put(gateway.producer, 2, batch="spring")
    for scope in ("batch:spring", "batch:empty"):
        ledger.hold(scope, "maintenance", "bob")
    settle(gateway.producer, Delivered())  # the claim parks them
    put(gateway.producer)
    ledger.hold("", "maintenance", "bob")
    html = stuck(ann, "the whole region", "batch spring")
    lists = [unescape(one) for one in re.findall(r'<a href="(/jobs[^"]*)">Show the jobs', html)]
    assert lists == ["/jobs?region=eu", "/jobs?state=parked&region=eu&batch=spring"], "none for the hold without jobs"


def test_job_that_cannot_be_sent_now_has_no_button_for_it(gateway: GatewayProcess, ann: Person) -> None:
    [scheduled] = put(gateway.producer, deliver_at=datetime.now(UTC) + timedelta(hours=2))
    assert "/replay" not in ann.get(f"/jobs/{scheduled}").text
    [held] = put(gateway.producer, batch="spring")
    gateway.producer.ledger(Region.EU).hold("batch:spring", "maintenance", "bob")
    settle(gateway.producer, Delivered())
    html = ann.get(f"/jobs/{held}").text
    assert "/replay" not in html
    assert 'href="/holds?region=eu">Lift the hold' in html


def test_parked_job_says_that_its_region_is_held_meanwhile(gateway: GatewayProcess, ann: Person) -> None:
    [job_id] = put(gateway.producer)
    settle(gateway.producer, Parked(3_600_000, "no_campaign"), attempt(Verdict.NO_CAMPAIGN))
    assert "is held" not in ann.get(f"/jobs/{job_id}").text
    gateway.producer.ledger(Region.EU).hold("", "maintenance", "bob")
    wait_until(
        lambda: "The region eu is held: nothing is sent before its hold ends." in ann.get(f"/jobs/{job_id}").text
    )


def test_list_of_parked_jobs_explains_the_scheduled_ones(gateway: GatewayProcess, ann: Person) -> None:
    put(gateway.producer, deliver_at=datetime.now(UTC) + timedelta(hours=2))
    wait_until(lambda: re.search(r"</svg>scheduled<.{0,35}>1</td>", ann.get("/").text, re.DOTALL))
    html = ann.get("/").text
    assert "state=scheduled" not in html, "there is no such state"
    assert "Scheduled jobs are parked, too" in ann.get("/jobs?state=parked").text
    assert "Scheduled jobs" not in ann.get("/jobs?state=queued").text


def test_causes_that_need_no_person_come_last(gateway: GatewayProcess, ann: Person) -> None:
    put(gateway.producer, 3)
    settle(gateway.producer, Parked(3_600_000, "no_campaign"), attempt(Verdict.NO_CAMPAIGN))
    die(gateway.producer)
    html = stuck(ann, "Sent again automatically. Dead after the last try", "Send now …")
    assert html.index("invalid value") < html.index("no campaign")


def test_erased_data_is_not_offered(gateway: GatewayProcess, ann: Person) -> None:
    [job_id] = die(gateway.producer)
    gateway.producer.ledger(Region.EU).erasure.erase(Erased("joe@example.com"), int(time.time() * 1000), "ann")
    html = ann.get(f"/jobs/{job_id}").text
    assert "The data was erased." in html
    assert f"/jobs/{job_id}/data" not in html
    assert "/replay" not in html


def test_bulk_without_a_matching_job_offers_nothing(gateway: GatewayProcess, ann: Person) -> None:
    die(gateway.producer)
    html = ann.get("/jobs/bulk?action=replay&state=dead&region=eu&verdict=missing_field").text
    assert "No job matches, so there is nothing to do." in html
    assert 'action="/jobs/bulk"' not in html
    assert "<h1>Send 1 job again</h1>" in ann.get("/jobs/bulk?action=replay&state=dead&region=eu").text


def test_hold_of_a_region_hides_no_job_parked_for_another_reason(gateway: GatewayProcess, ann: Person) -> None:
    put(gateway.producer, 2)
    settle(gateway.producer, Parked(3_600_000, "no_campaign"), attempt(Verdict.NO_CAMPAIGN))
    put(gateway.producer, 3)
    gateway.producer.ledger(Region.EU).hold("", "maintenance", "bob")
    html = stuck(ann, "the whole region", "no campaign")
    assert re.findall(r'class="count">([^<]*)<', html) == ["3 jobs", "2 jobs"]
