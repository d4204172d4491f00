"""The pages of batches and operations: a bad batch is stopped at its canary, and its rest is cancelled."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from gaugepost import Region
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action
from gaugepost.ledger.users import Role
from gaugepost.states import JobState
from support.browser import chromium
from support.console import Person, add_user, changes, signed_in
from support.console_pages import sign_in
from support.factories import record
from support.gateway import GatewayProcess
from support.stack import Stack
from support.wait import wait_until

EVIL = "<script>alert(1)</script>"
AS_TEXT = "&lt;script&gt;alert(1)&lt;/script&gt;"


@pytest.mark.needs("chromium")
def test_operator_sees_a_stopped_batch_and_cancels_its_rest(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    with (
        Stack(tmp_path, regions="eu") as stack,
        GatewayProcess(tmp_path / "gateway", stack.redis.url, regions="eu") as gateway,
        chromium() as browser,
    ):
        add_user(gateway, role=Role.OPERATOR)
        stack.sim.knobs(mappings={"named": {"required": ["Email", "Name"]}})
        jobs = [record(configuration="named", record={"Email": f"p{n}@example.net"}) for n in range(60)]
        stack.producer.enqueue_many(jobs, batch="spring", canary=10)
        stack.worker()
        page = sign_in(browser.new_context(base_url=gateway.url))
        page.get_by_role("link", name="Batches").click()
        expect(page.get_by_text("stopped by its canary")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("canary: 10 of 10 not clean: 10 missing field Name")).to_be_visible()
        page.get_by_role("link", name="spring").click()
        expect(page.get_by_role("button", name="Resume in eu")).to_be_visible()
        page.get_by_label("Reason").fill("the column Name is missing")
        page.get_by_role("button", name="Cancel the rest").click()
        expect(page.get_by_role("heading", name="Operations")).to_be_visible()
        expect(page.get_by_text("50 of 50 done")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("the column Name is missing")).to_be_visible()
        assert stack.producer.batch("spring").states == {"dead": 10, "cancelled": 50}
        [entry] = [one for one in changes(stack.producer.ledger(Region.EU)) if one.via == "console"]
        assert (entry.actor, entry.action, entry.reason) == ("ann", "cancel", "the column Name is missing")


def stopped(gateway: GatewayProcess, name: str) -> None:
    jobs = [record(region="eu") for _ in range(5)]
    gateway.producer.enqueue_many(jobs, batch=name, canary=2)
    gateway.producer.ledger(Region.EU).hold(f"batch:{name}", f"canary: {EVIL}", "gaugepost")


def test_resume_of_a_batch_lifts_its_hold_once(gateway: GatewayProcess, ann: Person) -> None:
    stopped(gateway, "b.1:x")
    assert ann.get("/batches/b.1:x").status_code == 200
    assert ann.post("/batches/b.1:x/resume", region="eu").headers["Location"] == "/batches/b.1%3Ax"
    assert gateway.producer.ledger(Region.EU).holds() == {}
    assert ann.post("/batches/b.1:x/resume", region="eu").status_code == 409
    assert ann.get("/batches/unknown").status_code == 404


def test_batch_of_a_held_region_says_so(gateway: GatewayProcess, ann: Person) -> None:
    gateway.producer.enqueue_many([record(region="eu")], batch="held")
    gateway.producer.enqueue_many([record(region="us")], batch="free")
    gateway.producer.ledger(Region.EU).hold("", "maintenance", "bob")
    wait_until(lambda: 'href="/holds?region=eu"' in ann.get("/batches/held").text)
    assert ann.get("/batches").text.count("/holds?region=") == 1
    assert "/holds?region=" not in ann.get("/batches/free").text


def test_cancel_of_a_batch_needs_a_reason_and_a_region(gateway: GatewayProcess, ann: Person) -> None:
    stopped(gateway, "b")
    for fields, status in (
        ({"region": "eu", "reason": " "}, 422),
        ({"region": "", "reason": "x"}, 400),
        ({"region": "mars", "reason": "x"}, 400),
    ):
        assert ann.post("/batches/b/cancel", **fields).status_code == status
    assert gateway.producer.ledger(Region.EU).operations.list() == []


def test_operations_have_the_buttons_that_their_states_allow(gateway: GatewayProcess, ann: Person) -> None:
    calls = gateway.producer.ledger(Region.EU).operations
    started = calls.start(Action.REPLAY, JobFilter(state=JobState.DEAD), by=EVIL, reason=EVIL)
    for name, buttons in (("", {"pause", "abort"}), ("pause", {"resume", "abort"}), ("abort", set[str]())):
        if name:
            assert ann.post(f"/operations/{started.id}/{name}").status_code == 303
        text = ann.get("/operations?region=eu").text
        assert {one for one in ("pause", "resume", "abort") if f"/{started.id}/{one}" in text} == buttons
        assert EVIL not in text
        assert text.count(AS_TEXT) == 2


def test_operation_that_was_aborted_early_says_so(gateway: GatewayProcess, ann: Person) -> None:
    calls = gateway.producer.ledger(Region.EU).operations
    started = calls.start(Action.REPLAY, JobFilter(state=JobState.DEAD), by="ann", reason="x")
    for path in ("/operations", f"/operations/{started.id}"):
        calls.pause(started.id)
        assert "Paused while it looked for its jobs: 0 so far" in ann.get(path).text
    calls.abort(started.id)
    for path in ("/operations", f"/operations/{started.id}"):
        text = ann.get(path).text
        assert ("Aborted before it found any job" in text, "0 of 0 done" in text, "0 of 0 jobs" in text) == (
            True,
            False,
            False,
        )


def test_viewer_sees_batches_and_operations_without_buttons(gateway: GatewayProcess) -> None:
    stopped(gateway, "b")
    calls = gateway.producer.ledger(Region.EU).operations
    calls.start(Action.REPLAY, JobFilter(state=JobState.DEAD), by="ann", reason="x")
    vic = signed_in(gateway, "vic", Role.VIEWER)
    for path in ("/batches", "/batches/b", "/operations"):
        text = vic.get(path).text
        assert 'method="post"' not in text, path
    assert "Only operators" in vic.get("/batches/b").text
    assert vic.post("/batches/b/cancel", region="eu", reason="x").status_code == 403
    assert vic.get("/audit").status_code == 403


def test_many_operations_have_pages(gateway: GatewayProcess, ann: Person) -> None:
    stored = set[str]()
    for region in (Region.EU, Region.US):
        calls = gateway.producer.ledger(region).operations
        for _ in range(40):
            one = calls.start(Action.REPLAY, JobFilter(state=JobState.DEAD), by="ann", reason="x")
            calls.abort(one.id)
            stored.add(one.id)
    path, seen = "/operations", list[str]()
    while path:
        text = ann.get(path).text
        seen += [part.partition('"')[0] for part in text.split('aria-label="Progress of ')[1:]]
        links = [part.partition('"')[0] for part in text.split('<a href="') if 'rel="next"' in part]
        path = links[0].replace("&amp;", "&") if links else ""
    assert len(seen) == len(stored) == 80
    assert set(seen) == stored


def test_batches_of_all_regions_are_listed_once(gateway: GatewayProcess, ann: Person) -> None:
    for region in ("eu", "us"):
        gateway.producer.enqueue_many([record(region=region)], batch="both")
    wait_until(lambda: gateway.producer.batch("both").total == 2, what="both are stored")
    assert ann.get("/batches").text.count('href="/batches/both"') == 1
    assert 'href="/batches/both"' not in ann.get("/batches?region=au").text
