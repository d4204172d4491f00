"""The console in a real browser: sign-in, keys, updates, without JavaScript, and for people with other eyes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from gaugepost import Record, Region
from gaugepost.ledger.users import Role
from support.barriers import barriers
from support.browser import chromium
from support.console import PASSWORD, add_user
from support.gateway import GatewayProcess

pytestmark = pytest.mark.needs("chromium")

PAGES = (
    "/",
    "/uploads",
    "/uploads/new",
    "/holds",
    "/batches",
    "/operations",
    "/audit",
    "/settings",
    "/account",
    "/no-such-page",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser, gateway: GatewayProcess) -> Iterator[BrowserContext]:
    add_user(gateway, role=Role.OPERATOR)
    context = browser.new_context(base_url=gateway.url)
    yield context
    context.close()


def sign_in(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.wait_for_load_state()  # keys are heard now
    return page


def test_overview_shows_what_happens_without_a_reload(context: BrowserContext, gateway: GatewayProcess) -> None:
    errors: list[str] = []
    page = sign_in(context)
    page.on("console", lambda message: errors.append(message.text))
    eu = page.get_by_role("region", name="eu")
    expect(eu.get_by_role("row", name="queued")).to_contain_text("0")
    gateway.producer.enqueue(Record(region="eu", configuration="c", record={"Email": "a@example.com"}))
    expect(eu.get_by_role("row", name="queued")).to_contain_text("1")
    gateway.producer.ledger(Region.EU).hold("", "<script>alert(1)</script>", "bob")
    expect(page.get_by_text("the region is held: <script>alert(1)</script>")).to_be_visible()
    assert errors == []


def test_paused_page_does_not_change(context: BrowserContext, gateway: GatewayProcess) -> None:
    page = sign_in(context)
    page.keyboard.press("p")
    expect(page.get_by_role("button", name="Resume updates")).to_be_visible()
    gateway.producer.ledger(Region.EU).hold("", "maintenance", "bob")
    with page.expect_response(lambda answer: answer.url.endswith("/")):
        page.keyboard.press("p")
    expect(page.get_by_text("the region is held: maintenance")).to_be_visible()


def test_keys_open_the_help_and_the_pages(context: BrowserContext) -> None:
    page = sign_in(context)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.goto("/account")
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_slash_opens_jobs_where_a_page_has_no_search(context: BrowserContext) -> None:
    page = sign_in(context)
    page.goto("/account")
    page.keyboard.press("/")
    page.wait_for_url("**/jobs")
    page.keyboard.press("/")
    expect(page.locator("input[type=search]").first).to_be_focused()


def test_key_of_updates_is_listed_only_where_a_page_has_them(context: BrowserContext) -> None:
    page = sign_in(context)
    for path, number in (("/", 1), ("/account", 0)):
        page.goto(path)
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        expect(page.get_by_text("Pause or resume the updates")).to_have_count(number)


def test_session_that_ends_leads_to_the_sign_in(context: BrowserContext, gateway: GatewayProcess) -> None:
    page = sign_in(context)
    gateway.producer.ledger(Region.EU).users.sign_out("ann")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_sign_in_and_sign_out_work_without_javascript(browser: Browser, gateway: GatewayProcess) -> None:
    add_user(gateway)
    context = browser.new_context(base_url=gateway.url, java_script_enabled=False)
    page = sign_in(context)
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    page.get_by_role("link", name="ann").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    context.close()


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_have_no_serious_barrier(browser: Browser, gateway: GatewayProcess, scheme: str, width: int) -> None:
    add_user(gateway, role=Role.ADMIN)
    gateway.put_key("crm")
    gateway.producer.ledger(Region.EU).hold("", "maintenance", "bob")
    size = {"width": width, "height": 900}
    context = browser.new_context(base_url=gateway.url, color_scheme=scheme, viewport=size, bypass_csp=True)
    page = context.new_page()
    page.goto("/sign-in")
    found = barriers(page)
    page.close()
    page = sign_in(context)
    for path in PAGES:
        page.goto(path)
        found += barriers(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    context.close()
    assert found == []
