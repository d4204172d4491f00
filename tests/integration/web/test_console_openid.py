"""Sign in to the console by an OpenID provider, and the attacks on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from support.console import Person
from support.gateway import GatewayProcess
from support.openid import OpenIdProvider
from support.redis_server import RedisServer, free_port


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    with OpenIdProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def running(
    server: RedisServer, tmp_path_factory: pytest.TempPathFactory, provider: OpenIdProvider
) -> Iterator[GatewayProcess]:
    port = free_port()
    login = GatewayProcess(
        tmp_path_factory.mktemp("gateway"),
        server.url,
        port=port,
        console_oidc_issuer=provider.issuer,
        console_oidc_client_id=provider.client_id,
        console_oidc_client_secret=provider.client_secret,
        console_oidc_roles="it-ops=operator,everyone=viewer",
        console_url=f"http://127.0.0.1:{port}",
    )
    with login as gateway:
        yield gateway


@pytest.fixture
def ann(gateway: GatewayProcess, provider: OpenIdProvider) -> Person:
    provider.email, provider.verified = "ann@example.com", True
    provider.claims = {"groups": ["everyone", "it-ops"]}
    return Person(gateway)


def at_the_provider(person: Person, path: str = "/sign-in/openid?next=/account") -> str:
    """Begin a sign-in, and return the path with which the provider sends the browser back."""
    with requests.Session() as browser:
        browser.trust_env = False
        answer = browser.get(person.get(path).headers["Location"], allow_redirects=False, timeout=30)
    back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"


def test_role_comes_from_the_claim(ann: Person) -> None:
    assert "/sign-in/openid?next=/" in ann.get("/sign-in").text
    answer = ann.get(at_the_provider(ann))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account")
    text = ann.get("/account").text
    assert "ann@example.com" in text
    assert "operator" in text


@pytest.mark.parametrize("groups", [None, [], "nothing", ["others"], {"it-ops": True}, [["it-ops"]]])
def test_person_without_a_role_is_refused_in_words(ann: Person, provider: OpenIdProvider, groups: Any) -> None:
    provider.claims = {"groups": groups}
    answer = ann.get(at_the_provider(ann))
    assert answer.status_code == 403
    assert "has no role here" in answer.text
    assert not ann.is_signed_in()


@pytest.mark.parametrize(
    "claims",
    [{"nonce": "another"}, {"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1}, {"nonce": None}],
)
def test_token_that_is_not_for_this_sign_in_is_refused(
    ann: Person, provider: OpenIdProvider, claims: dict[str, Any]
) -> None:
    provider.claims |= claims
    answer = ann.get(at_the_provider(ann))
    assert answer.status_code == 502
    assert not ann.is_signed_in()


def test_sign_in_begun_in_another_browser_is_refused(
    ann: Person, gateway: GatewayProcess, provider: OpenIdProvider
) -> None:
    back = at_the_provider(Person(gateway))
    assert ann.get(back).status_code == 403
    own = at_the_provider(ann)
    state = parse_qs(urlsplit(own).query)["state"][0]
    others = parse_qs(urlsplit(back).query)["code"][0]
    mixed = ann.get(f"/sign-in/openid/back?state={state}&code={others}")
    assert mixed.status_code == 502, "PKCE binds the code to the browser that began"
    assert not ann.is_signed_in()
    assert provider.client_secret not in gateway.log()


def test_code_is_used_once(ann: Person) -> None:
    back = at_the_provider(ann)
    assert ann.get(back).status_code == 303
    assert ann.get(back).status_code in {403, 502}


def test_sign_in_by_a_provider_leads_to_no_other_site(ann: Person) -> None:
    back = at_the_provider(ann, "/sign-in/openid?next=//evil.example")
    assert ann.get(back).headers["Location"] == "/"
