"""A viewer tries each action: no page offers one, and each request made by hand is refused, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from gaugepost import Region
from gaugepost.ledger.audit import Via
from gaugepost.ledger.users import Role
from support.browser import chromium
from support.console import add_user, signed_in
from support.console_data import one_of_each
from support.console_pages import sign_in
from support.console_routes import routes
from support.gateway import GatewayProcess
from support.wait import wait_until

pytestmark = pytest.mark.needs("chromium")

_OWN = ("/account", "/sign-out", "/sign-out-everywhere")
_MOST = 150


@pytest.fixture(params=[True, False], ids=["with_javascript", "without"])
def page(request: pytest.FixtureRequest, gateway: GatewayProcess) -> Iterator[Page]:
    add_user(gateway, "vic", Role.VIEWER)
    with chromium() as browser:
        yield sign_in(browser.new_context(base_url=gateway.url, java_script_enabled=request.param), "vic")


def shape_of(path: str) -> str:
    """Return the route of a path with its query's names: pages of one shape are visited once."""
    found = urlsplit(path)
    ours = [route.path for route in routes() if route.method == "GET" and route.pattern.match(found.path)]
    names = sorted(part.partition("=")[0] for part in found.query.split("&"))
    return f"{ours[0] if ours else found.path}?{'&'.join(names)}"


def visited(page: Page, start: str) -> Iterator[str]:
    """Open all pages to which links lead, one of each shape."""
    waiting, seen = [start], {shape_of(start)}
    while waiting:
        path = waiting.pop()
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        yield path
        for link in page.locator("a[href^='/']").all():
            to = (link.get_attribute("href") or "").partition("#")[0]
            if shape_of(to) not in seen:
                seen.add(shape_of(to))
                waiting.append(to)
        assert len(seen) < _MOST


def test_no_page_offers_a_viewer_what_is_refused(page: Page, gateway: GatewayProcess, tmp_path: Path) -> None:
    found = one_of_each(gateway.producer, tmp_path)
    wait_until(lambda: page.goto("/stuck") and all(found[one] in page.content() for one in ("dead", "unknown")))
    shapes = set[str]()
    for path in visited(page, "/"):
        shapes.add(shape_of(path).partition("?")[0])
        for form in page.locator("form[method=post]").all():
            assert form.get_attribute("action") in _OWN, path
    mine = {route.path for route in routes() if route.method == "GET" and route.role is Role.VIEWER}
    assert shapes >= mine - {"/jobs/{job_id}/events"}
    for one in ("batches/{name}", "uploads/{set_id}", "jobs/{job_id}", "operations/{operation_id}", "holds"):
        page.goto(f"/{one.format(**found)}")
        expect(page.get_by_text("you are viewer")).to_be_visible()


def test_requests_by_hand_are_refused_in_words_and_audited(gateway: GatewayProcess, tmp_path: Path) -> None:
    eve = signed_in(gateway, "eve", Role.VIEWER)
    found = one_of_each(gateway.producer, tmp_path)
    ledger = gateway.producer.ledger(Region.EU)

    def stored() -> object:
        jobs = ledger.read([found["dead"], found["unknown"], found["queued"]])
        operation = ledger.operations.show(found["operation_id"])
        return ledger.summary()["waiting"], [one and one.state for one in jobs], set(ledger.holds()), operation

    before, denied = stored(), set[str]()
    for route in routes():
        if route.role in {Role.OPERATOR, Role.ADMIN}:
            path = route.path.format(**found)
            fields = {"reason": "x", "region": "eu", "as": "dead", "action": "replay", "state": "dead", "id": "eu"}
            answer = eve.post(path, **fields) if route.method == "POST" else eve.get(path)
            assert answer.status_code == 403, route
            assert f"this needs the role {route.role}, and eve is viewer: nothing was changed" in answer.text, route
            if route.action:
                denied.add(route.action)
    assert stored() == before
    assert denied

    def recorded() -> set[str]:
        trails = [gateway.producer.ledger(region).audit.read() for region in Region]
        ours = [one for trail in trails for one in trail if one.actor == "eve" and one.via is Via.CONSOLE]
        return {one.action for one in ours if str(one.outcome) == "denied"}

    wait_until(lambda: recorded() == denied, within=20, what=lambda: (recorded(), denied))


def test_address_of_an_operator_shows_a_viewer_why_not(page: Page) -> None:
    for path, role in (("/uploads/new", "operator"), ("/audit", "operator"), ("/settings", "admin")):
        page.goto(path)
        expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
        expect(page.get_by_text(f"this needs the role {role}, and vic is viewer")).to_be_visible()
        page.get_by_role("link", name="To the overview").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
