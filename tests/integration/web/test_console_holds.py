"""The page of holds: a region is paused and resumed, by people who may, with texts that stay texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from gaugepost import Record, Region
from gaugepost.ledger.users import Role
from support.browser import chromium
from support.console import Person, add_user, changes, signed_in
from support.console_pages import sign_in
from support.gateway import GatewayProcess
from support.stack import Stack
from support.wait import wait_until

EVIL = "<script>alert(1)</script>"


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("script", [True, False])
def test_operator_pauses_a_region_and_resumes_it(tmp_path: Path, *, script: bool) -> None:
    (tmp_path / "gateway").mkdir()
    with (
        Stack(tmp_path, regions="eu") as stack,
        GatewayProcess(tmp_path / "gateway", stack.redis.url, regions="eu") as gateway,
        chromium() as browser,
    ):
        add_user(gateway, role=Role.OPERATOR)
        context = browser.new_context(base_url=gateway.url, java_script_enabled=script)
        page = sign_in(context)
        page.get_by_role("link", name="Holds").click()
        expect(page.get_by_role("heading", name="Nothing is held")).to_be_visible()
        page.get_by_label("Reason").fill("maintenance")
        page.get_by_label("Until").fill("2h")
        page.get_by_role("button", name="Open the hold").click()
        expect(page.get_by_text("the whole region").first).to_be_visible()

        stack.worker()
        receipt = stack.producer.enqueue(Record(region="eu", configuration="c", record={"Email": "a@example.com"}))
        page.reload()
        expect(page.get_by_text("1 job waits")).to_be_visible()
        assert stack.keys() == {}
        page.locator("summary").filter(has_text="eu the whole region").click()
        expect(page.get_by_text("1 job will then be sent")).to_be_visible()
        page.get_by_label("Why it is lifted").fill("maintenance is over")
        page.get_by_role("button", name="Lift the hold on eu the whole region").click()
        expect(page.get_by_role("heading", name="Nothing is held")).to_be_visible()
        wait_until(lambda: stack.keys().get(receipt.id), what=stack.undelivered)
        trail = [one for one in changes(stack.producer.ledger(Region.EU)) if one.via == "console"]
        assert [(one.actor, one.action, one.count, one.reason) for one in trail] == [
            ("ann", "resume", 1, "maintenance is over"),
            ("ann", "hold", 1, "maintenance"),
        ]


def test_wrong_form_is_shown_again_with_what_was_typed(gateway: GatewayProcess, ann: Person) -> None:
    good = {"region": "eu", "what": "", "configuration": "", "reason": "a reason", "until": ""}
    for wrong, text in (
        ({"reason": " "}, "reason: tell others"),
        ({"until": "tomorrow"}, "until: expected a time with its offset"),
        ({"until": "2020-01-01T00:00Z"}, "expected a time in the future"),
        ({"what": "configuration:"}, "configuration: give its reference"),
        ({"configuration": "c"}, "leave this empty"),
        ({"what": "batch:b"}, "choose what to hold"),
        ({"region": "mars"}, "region: expected"),
    ):
        answer = ann.post("/holds", **(good | wrong))
        assert answer.status_code == 422, wrong
        assert text in answer.text
        assert 'value="a reason"' in answer.text or "reason" in wrong
    assert gateway.producer.ledger(Region.EU).holds() == {}


def test_hold_of_each_scope_is_opened_and_lifted(gateway: GatewayProcess, ann: Person) -> None:
    scopes = ("", "configuration:c", "credentials:oauth", "endpoints:uploads")
    for scope in scopes:
        what, configuration = ("configuration:", "c") if scope == "configuration:c" else (scope, "")
        answer = ann.post("/holds", region="us", what=what, configuration=configuration, reason="x", until="")
        assert answer.headers["Location"] == "/holds"
    assert set(gateway.producer.ledger(Region.US).holds()) == set(scopes)
    for scope in scopes:
        assert ann.post("/holds/lift", id=f"us:{scope}".rstrip(":")).status_code == 303
    assert gateway.producer.ledger(Region.US).holds() == {}
    assert ann.post("/holds/lift", id="us").status_code == 404
    assert ann.post("/holds/lift", id="mars:x").status_code == 400


def test_hold_is_still_open_in_a_page_that_changes(gateway: GatewayProcess, ann: Person) -> None:
    assert ann.is_signed_in()
    ledger = gateway.producer.ledger(Region.EU)
    for name in ("b", "c"):
        ledger.hold(f"configuration:{name}", "x", "bob")
    with chromium() as browser:
        page = sign_in(browser.new_context(base_url=gateway.url))
        page.goto("/holds")
        page.locator("summary").filter(has_text="configuration c").click()
        page.locator("details[open] input[name=reason]").fill("corrected")
        for name in ("a", "d"):
            ledger.hold(f"configuration:{name}", "x", "bob")
            expect(page.locator("summary").filter(has_text=f"configuration {name}")).to_have_count(1)
        page.get_by_role("button", name="Lift the hold on eu configuration c").click()
        expect(page.locator("summary")).to_have_count(3)
    assert "configuration:c" not in ledger.holds()
    assert changes(ledger)[0].reason == "corrected"


def test_hold_of_a_batch_links_to_its_jobs(gateway: GatewayProcess, ann: Person) -> None:
    jobs = [Record(region="eu", configuration="c", record={"Email": f"p{n}@example.com"}) for n in range(5)]
    gateway.producer.enqueue_many(jobs, batch="spring", canary=2)
    text = ann.get("/holds").text
    assert '<a href="/jobs?batch=spring&amp;region=eu"><strong>3</strong> jobs wait</a>' in text
    assert "3 jobs will then be sent" in text


def test_stored_scripts_are_shown_as_text(gateway: GatewayProcess, ann: Person) -> None:
    gateway.producer.ledger(Region.EU).hold(f"configuration:{EVIL}", f"{EVIL}\x1b[31m", f"{EVIL}bob")
    text = ann.get("/holds").text
    assert EVIL not in text
    assert "\x1b" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    assert ann.get("/holds?region=%3Cscript%3E").status_code == 400


def test_viewer_reads_holds_and_changes_none(gateway: GatewayProcess) -> None:
    vic = signed_in(gateway, "vic", Role.VIEWER)
    gateway.producer.ledger(Region.EU).hold("", "maintenance", "bob")
    text = vic.get("/holds").text
    assert "maintenance" in text
    assert "Only operators" in text
    assert "/holds/lift" not in text
    assert vic.post("/holds/lift", id="eu").status_code == 403
    assert vic.post("/holds", region="us", what="", configuration="", reason="x", until="").status_code == 403
    assert list(gateway.producer.ledger(Region.EU).holds()) == [""]
    assert gateway.producer.ledger(Region.US).holds() == {}


@pytest.fixture
def many(gateway: GatewayProcess) -> list[str]:
    names = [f"configuration:{number:03}" for number in range(120)]
    for name in names:
        gateway.producer.ledger(Region.EU).hold(name, "x", "bob")
    return names


def test_many_holds_have_pages(ann: Person, many: list[str]) -> None:
    path, seen = "/holds?region=eu", list[str]()
    while path:
        text = ann.get(path).text
        rows = [part.partition('"')[0] for part in text.split('name="id" value="')[1:]]
        assert len(rows) <= 50
        seen += rows
        links = [part.partition('"')[0] for part in text.split('<a href="') if 'rel="next"' in part]
        path = links[0].replace("&amp;", "&") if links else ""
    assert seen == [f"eu:{name}" for name in many]
