"""Sign in to the console by an OpenID provider, and the attacks on it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc.jwk import RSAKey

from gaugepost.ledger.users import Role
from support.console import Person, add_user, signed_in
from support.gateway import GatewayProcess
from support.openid import OpenIdProvider
from support.redis_server import RedisServer, free_port
from support.wait import wait_until


@pytest.fixture(scope="module")
def running(
    server: RedisServer, tmp_path_factory: pytest.TempPathFactory, provider: OpenIdProvider
) -> Iterator[GatewayProcess]:
    with gateway_of(server, tmp_path_factory.mktemp("gateway"), provider.issuer) as gateway:
        yield gateway


def gateway_of(server: RedisServer, folder: Path, issuer: str) -> AbstractContextManager[GatewayProcess]:
    """Return a gateway whose people this provider signs in."""
    port = free_port()
    return GatewayProcess(
        folder,
        server.url,
        port=port,
        console_oidc_issuer=issuer,
        console_oidc_client_id=OpenIdProvider.client_id,
        console_oidc_client_secret=OpenIdProvider.client_secret,
        console_oidc_roles="it-ops=operator,everyone=viewer",
        console_url=f"http://127.0.0.1:{port}",
    )


@pytest.fixture
def ann(gateway: GatewayProcess, provider: OpenIdProvider) -> Person:
    provider.email, provider.verified, provider.bodies = "ann@example.com", True, {}
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


@pytest.mark.parametrize("verified", [False, "false", "true", 1, None])
def test_address_that_is_not_verified_is_no_name(ann: Person, provider: OpenIdProvider, verified: Any) -> None:
    provider.verified, provider.claims["sub"] = verified, "id-of-ann"
    ann.get(at_the_provider(ann))
    text = ann.get("/account").text
    assert "id-of-ann" in text
    assert "ann@example.com" not in text


def test_names_that_begin_alike_are_two_persons(ann: Person, provider: OpenIdProvider) -> None:
    provider.email = f"{'a' * 70}@example.com"
    ann.get(at_the_provider(ann))
    assert provider.email in ann.get("/account").text


@pytest.mark.parametrize("name", [f"{'a' * 201}@example.com", "ann\n", " ann", "", "a\u202ea", "unknown name"])
def test_unusable_name_from_the_provider_is_refused(ann: Person, provider: OpenIdProvider, name: str) -> None:
    provider.email, provider.claims["sub"] = name, name
    assert ann.get(at_the_provider(ann)).status_code == 502
    assert not ann.is_signed_in()


def test_person_of_the_provider_cannot_have_the_name_of_a_user(
    ann: Person, gateway: GatewayProcess, provider: OpenIdProvider
) -> None:
    add_user(gateway, "ann@example.com", Role.VIEWER)
    answer = ann.get(at_the_provider(ann))
    assert answer.status_code == 403
    assert "is the name of a user" in answer.text
    assert not ann.is_signed_in()


def test_sign_in_by_the_provider_ends_the_earlier_session_of_the_browser(ann: Person, gateway: GatewayProcess) -> None:
    ann.get(at_the_provider(ann))
    thief = Person(gateway)
    thief.http.cookies.update(ann.http.cookies)
    assert ann.get(at_the_provider(ann)).status_code == 303
    assert ann.is_signed_in()
    wait_until(lambda: not thief.is_signed_in())


def test_wrong_password_leaves_the_button_of_the_provider(ann: Person) -> None:
    assert "/sign-in/openid?next=" in ann.sign_in(password="wrong").text


def test_document_of_the_provider_is_kept(ann: Person, provider: OpenIdProvider) -> None:
    assert ann.get("/sign-in/openid").status_code == 303
    provider.bodies["/realm/.well-known/openid-configuration"] = b"["
    assert ann.get("/sign-in/openid").status_code == 303


def test_key_that_the_provider_replaced_is_read_anew(ann: Person, provider: OpenIdProvider) -> None:
    assert ann.get(at_the_provider(ann)).status_code == 303
    provider.key = RSAKey.generate_key(2048, {"kid": "2"}, private=True)
    assert ann.get(at_the_provider(ann)).status_code == 303


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"id_token":' * 100_000, b"[]", b"{", b'{"id_token": []}', b" " * 2_000_000]
)
def test_answer_that_is_no_token_ends_the_sign_in(
    ann: Person, gateway: GatewayProcess, provider: OpenIdProvider, body: bytes
) -> None:
    back = at_the_provider(ann)
    provider.bodies["/realm/token"] = body
    assert ann.get(back).status_code == 502
    assert "Traceback" not in gateway.log()


@pytest.mark.parametrize("cookie", [b"[" * 3_000, b"{}", b'["a"]', b"[1, 2, 3, 4, 5]", b'["\\ud800", "", "", ""]'])
def test_cookie_that_is_no_attempt_is_refused(ann: Person, gateway: GatewayProcess, cookie: bytes) -> None:
    answer = ann.get("/sign-in/openid/back?state=a&code=b", Cookie=f"gaugepost-openid={cookie.hex()}")
    assert answer.status_code == 403
    assert "Traceback" not in gateway.log()


def test_issuer_that_ends_in_a_slash_signs_people_in(server: RedisServer, tmp_path: Path) -> None:
    with OpenIdProvider() as provider:
        provider.issuer += "/"
        provider.email, provider.claims = "zoe@example.com", {"groups": ["everyone"]}
        with gateway_of(server, tmp_path, provider.issuer) as gateway:
            zoe = Person(gateway)
            assert zoe.get(at_the_provider(zoe)).status_code == 303
            assert zoe.is_signed_in()


def test_provider_that_drips_keeps_no_thread(server: RedisServer, tmp_path: Path) -> None:
    """Sign-ins work again when the provider is well, though the answers before have not ended."""
    with OpenIdProvider() as provider, gateway_of(server, tmp_path, provider.issuer) as gateway:
        provider.email, provider.claims, provider.drips = "ann@example.com", {"groups": ["everyone"]}, True
        with ThreadPoolExecutor(4) as strangers:
            answers = strangers.map(lambda _: Person(gateway).get("/sign-in/openid").status_code, range(4))
            assert set(answers) == {503}
        provider.drips = False
        ann = Person(gateway)
        wait_until(lambda: ann.get("/sign-in/openid").status_code == 303, what="the provider is asked again")
        assert ann.get(at_the_provider(ann)).status_code == 303
        assert ann.is_signed_in()


def test_slow_provider_stops_no_other_request_and_is_named(server: RedisServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        issuer = f"http://127.0.0.1:{silent.getsockname()[1]}/realm"
        with gateway_of(server, tmp_path, issuer) as gateway, ThreadPoolExecutor(20) as strangers:
            bob = signed_in(gateway, "bob", Role.OPERATOR)
            asked = [strangers.submit(Person(gateway).get, "/sign-in/openid") for _ in range(20)]
            wait(asked, timeout=30, return_when=FIRST_COMPLETED)
            assert bob.get("/audit").status_code == 200
            assert not all(one.done() for one in asked), "the page came before the provider's time was over"
            answers = [one.result() for one in asked]
    assert {one.status_code for one in answers} == {503}
    assert all(int(one.headers["Retry-After"]) > 0 for one in answers)
    assert all("provider does not answer" in one.text for one in answers)
