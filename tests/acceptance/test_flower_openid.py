"""Login to Flower by an OpenID provider, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from support.browser import chromium
from support.openid import OpenIdProvider
from support.redis_server import free_port
from support.stack import Stack
from support.wait import wait_until

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    with OpenIdProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, provider: OpenIdProvider, browser: Browser) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    login = {
        "flower_oidc_issuer": provider.issuer,
        "flower_oidc_client_id": provider.client_id,
        "flower_oidc_client_secret": provider.client_secret,
        "flower_oidc_users": ".*@operators.example",
        "flower_url": url,
    }
    with Stack(tmp_path_factory.mktemp("openid"), **login) as stack:
        stack.run("-m", "gaugepost_ops", "flower", "--address", "0.0.0.0", "--port", str(port))
        page = browser.new_page()
        wait_until(lambda: listens(page, url), what="Flower listens")
        yield url
        assert provider.client_secret not in stack.logs()


def listens(page: Page, url: str) -> bool:
    try:
        return page.request.get(f"{url}/healthcheck").ok
    except Error:
        return False


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context(base_url=url)
    yield context.new_page()
    context.close()


def test_known_user_named_in_the_settings_sees_flower(page: Page, provider: OpenIdProvider) -> None:
    provider.email, provider.verified = "amy@operators.example", True
    page.goto("/tasks")
    expect(page.get_by_text("Online workers")).to_be_visible()
    [user] = [cookie for cookie in page.context.cookies() if cookie["name"] == "user"]
    assert user["httpOnly"]
    assert user["sameSite"] == "Lax"


@pytest.mark.parametrize(
    ("email", "verified"),
    [
        ("eve@elsewhere.example", True),
        ("amy@operators.example", False),
        ("amy@operators.example.evil", True),
        ("", True),
    ],
)
def test_user_outside_the_settings_is_refused(page: Page, provider: OpenIdProvider, email: str, verified: bool) -> None:
    provider.email, provider.verified = email, verified
    answer = page.goto("/tasks")
    assert answer is not None
    assert answer.status == 403
    assert page.locator("#tasks-table").count() == 0
    assert page.request.get("/metrics", max_redirects=0).status == 302
    assert page.request.get("/api/tasks", max_redirects=0).status == 302
    assert page.request.post("/api/task/revoke/x").status == 403


def test_authorisation_code_of_another_session_is_refused(page: Page, provider: OpenIdProvider) -> None:
    provider.email, provider.verified = "amy@operators.example", True
    provider.codes["stolen"] = {}
    answer = page.goto("/login?code=stolen&state=made-up")
    assert answer is not None
    assert answer.status == 403
    assert "stolen" in provider.codes


def test_silent_provider_means_no_login(page: Page, provider: OpenIdProvider) -> None:
    issuer, provider.issuer = provider.issuer, "http://127.0.0.1:1/another"
    try:
        answer = page.goto("/tasks")
    finally:
        provider.issuer = issuer
    assert answer is not None
    assert answer.status == 502
