"""What operators come to the console for, in a real browser: with JavaScript, and once more without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from gaugepost import Region
from gaugepost.ledger.users import Role
from support.barriers import barriers
from support.browser import chromium
from support.console import PASSWORD, Person, add_user
from support.console_data import one_of_each
from support.console_jobs import SCRIPT, die, lose, put_link
from support.gateway import GatewayProcess
from support.stack import Stack
from support.wait import wait_until

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=[True, False], ids=["with_javascript", "without"])
def page(request: pytest.FixtureRequest, browser: Browser, gateway: GatewayProcess) -> Iterator[Page]:
    add_user(gateway, role=Role.OPERATOR)
    context = browser.new_context(base_url=gateway.url, java_script_enabled=request.param)
    page = context.new_page()
    sign_in(page)
    yield page
    context.close()


def sign_in(page: Page) -> None:
    page.goto("/sign-in")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_why_was_the_link_of_joe_not_delivered(page: Page, gateway: GatewayProcess) -> None:
    put_link(gateway.producer, email="other@example.com")
    put_link(gateway.producer, email="joe@example.com")
    gateway.producer.ledger(Region.EU).hold("", "maintenance until noon", "bob")
    page.get_by_role("link", name="Jobs").click()
    page.get_by_label("Search").fill("joe@example.com")
    page.get_by_role("button", name="Search").click()
    rows = page.get_by_role("table").get_by_role("row")
    expect(rows).to_have_count(2)
    rows.nth(1).get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "It waits, because the region eu is held: maintenance until noon."
    )


def test_unknown_job_is_settled_as_what_a_person_found(page: Page, gateway: GatewayProcess) -> None:
    problem = page.get_by_role("listitem").filter(has_text="1 job needs a person: sent, and the answer was lost")
    for button, state in (("It was delivered", "delivered"), ("It did not arrive", "dead")):
        job_id = lose(gateway.producer)
        page.goto("/")
        wait_until(lambda: page.reload() and problem.is_visible(), what="the overview says it")
        problem.get_by_role("link", name="See the jobs").click()
        page.get_by_role("table").get_by_role("link", name=job_id[:12]).click()
        expect(page.get_by_text("look for it at CustomerGauge")).to_be_visible()
        page.get_by_label("What you found at CustomerGauge").fill("seen in its list")
        page.get_by_role("button", name=button).click()
        expect(page.locator(".story").get_by_text(state, exact=True)).to_be_visible()
        expect(page.get_by_text(f"settled by ann: seen in its list as {state}")).to_be_visible()
        expect(page.get_by_role("button", name=button)).to_have_count(0)
    entries = gateway.producer.ledger(Region.EU).audit.read()
    found = [(one.actor, one.action, one.reason, str(one.outcome)) for one in entries if one.action == "settle"]
    assert found == [("ann", "settle", "seen in its list", "done")] * 2


def test_dead_jobs_of_a_corrected_mapping_are_sent_again(tmp_path: Path, browser: Browser) -> None:
    for is_scripted in (True, False):
        folder = tmp_path / str(is_scripted)
        folder.mkdir()
        with Stack(folder, regions="eu") as stack, GatewayProcess(folder, stack.redis.url) as gateway:
            _send_again(stack, gateway, browser, is_scripted=is_scripted)


def _send_again(stack: Stack, gateway: GatewayProcess, browser: Browser, *, is_scripted: bool) -> None:
    add_user(gateway, role=Role.OPERATOR)
    die(gateway.producer, 300, configuration="multi-object")
    context = browser.new_context(base_url=gateway.url, java_script_enabled=is_scripted)
    page = context.new_page()
    sign_in(page)
    page.goto("/stuck?region=eu")
    while not page.get_by_text("300 jobs", exact=True).is_visible():
        page.reload()
    page.get_by_role("link", name="Send again …").click()
    page.get_by_label("Reason").fill("mapping corrected")
    page.get_by_role("button", name="Send again").click()
    stack.worker("eu")
    drained = page.get_by_role("heading", name="300 of 300 jobs sent again")
    while not is_scripted and not drained.is_visible():
        page.reload()
    expect(drained).to_be_visible(timeout=60_000)
    expect(page.get_by_text("finished")).to_be_visible()
    context.close()


def test_open_job_page_follows_the_job(browser: Browser, gateway: GatewayProcess) -> None:
    add_user(gateway, role=Role.OPERATOR)
    job_id = put_link(gateway.producer)
    context = browser.new_context(base_url=gateway.url)
    page, errors = context.new_page(), list[str]()
    sign_in(page)
    page.on("console", lambda message: errors.append(message.text))
    page.goto(f"/jobs/{job_id}")
    gateway.producer.ledger(Region.EU).cancel([job_id])
    expect(page.get_by_role("heading", level=1)).to_have_text("A person cancelled it before it was sent.")
    assert errors == []
    context.close()


def test_typed_reason_stays_when_the_page_is_updated(browser: Browser, gateway: GatewayProcess) -> None:
    add_user(gateway, role=Role.OPERATOR)
    job_id, colleague = lose(gateway.producer), Person(gateway)
    context = browser.new_context(base_url=gateway.url)
    page = context.new_page()
    sign_in(page)
    page.goto(f"/jobs/{job_id}")
    page.get_by_label("What you found at CustomerGauge").fill("seen in its list")
    page.get_by_label("Why you need to see the data").fill("ticket 4711")
    colleague.sign_in()
    assert colleague.post(f"/jobs/{job_id}/data", reason="hotline").status_code == 200
    page.evaluate("htmx.trigger(document.getElementById('live'), 'refresh')")
    expect(page.get_by_text("job --show-data by ann, done: hotline")).to_be_visible()
    expect(page.get_by_label("What you found at CustomerGauge")).to_have_value("seen in its list")
    expect(page.get_by_label("Why you need to see the data")).to_have_value("ticket 4711")
    context.close()


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_with_data_have_no_serious_barrier(
    browser: Browser, gateway: GatewayProcess, tmp_path: Path, scheme: str, width: int
) -> None:
    add_user(gateway, role=Role.OPERATOR)
    [job_id] = die(gateway.producer, message=SCRIPT, labels=["x" * 60], configuration="c" * 64)
    size = {"width": width, "height": 900}
    context = browser.new_context(base_url=gateway.url, color_scheme=scheme, viewport=size, bypass_csp=True)
    page = context.new_page()
    sign_in(page)
    found: list[str] = []
    bulk = "/jobs/bulk?action=replay&state=dead&region=eu"
    filled = one_of_each(gateway.producer, tmp_path)
    of_one = ("/operations/{operation_id}", "/batches/{name}", "/uploads/{set_id}", "/uploads/{set_id}/undo")
    lists = ("/stuck", "/jobs", "/jobs?state=dead", "/jobs?state=x", bulk, "/history", "/uploads", "/holds")
    jobs = [f"/jobs/{one}" for one in (job_id, filled["unknown"], filled["queued"])]
    for path in (*lists, *jobs, *(one.format(**filled) for one in of_one), "/batches", "/operations", "/audit"):
        page.goto(path)
        found += barriers(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    context.close()
    assert found == []
