"""Sign in to the console by an OpenID provider, in a browser: with JavaScript, and once more without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from support.browser import chromium
from support.gateway import GatewayProcess
from support.openid import OpenIdProvider
from support.redis_server import RedisServer, free_port

pytestmark = pytest.mark.needs("chromium")

BUTTON = "Sign in with your organisation"


@pytest.fixture(scope="module")
def running(
    server: RedisServer, tmp_path_factory: pytest.TempPathFactory, provider: OpenIdProvider
) -> Iterator[GatewayProcess]:
    port = free_port()
    given = {
        "console_url": f"http://127.0.0.1:{port}",
        "console_oidc_issuer": provider.issuer,
        "console_oidc_client_id": provider.client_id,
        "console_oidc_client_secret": provider.client_secret,
        "console_oidc_roles": "it-ops=operator,it-leads=admin",
    }
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), server.url, port=port, **given) as gateway:
        yield gateway


@pytest.fixture(params=[True, False], ids=["with_javascript", "without"])
def page(request: pytest.FixtureRequest, gateway: GatewayProcess, provider: OpenIdProvider) -> Iterator[Page]:
    provider.email, provider.claims = "ann@example.com", {"groups": ["it-ops"]}
    with chromium() as browser:
        yield browser.new_context(base_url=gateway.url, java_script_enabled=request.param).new_page()


def test_person_signs_in_by_the_provider_and_out_again(page: Page) -> None:
    page.goto("/holds?region=eu")
    page.get_by_role("link", name=BUTTON).click()
    expect(page.get_by_role("heading", name="Nothing is held")).to_be_visible()
    assert page.url.endswith("/holds?region=eu")
    expect(page.get_by_role("button", name="Open the hold")).to_be_visible()
    page.get_by_role("link", name="ann@example.com").click()
    expect(page.get_by_text("operator", exact=True)).to_be_visible()
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("link", name=BUTTON)).to_be_visible()
    page.goto("/holds")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_role_follows_the_group_at_the_next_sign_in(page: Page, provider: OpenIdProvider) -> None:
    for group, role in (("it-ops", "operator"), ("it-leads", "admin")):
        provider.claims = {"groups": [group]}
        page.goto("/sign-in?next=/account")
        page.get_by_role("link", name=BUTTON).click()
        expect(page.get_by_text(role, exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Settings")).to_be_visible()


def test_person_without_a_role_reads_why_and_stays_outside(page: Page, provider: OpenIdProvider) -> None:
    provider.claims = {"groups": ["sales"]}
    page.goto("/")
    page.get_by_role("link", name=BUTTON).click()
    expect(page.get_by_text("ann@example.com has no role here")).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_failure_of_the_provider_leads_back_to_the_sign_in(page: Page, provider: OpenIdProvider) -> None:
    provider.claims |= {"nonce": "another"}
    page.goto("/")
    page.get_by_role("link", name=BUTTON).click()
    expect(page.get_by_text("the sign-in by the provider failed: try again")).to_be_visible()
    page.get_by_role("link", name="To the sign-in").click()
    provider.claims.pop("nonce")
    page.get_by_role("link", name=BUTTON).click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
