"""What every page of the console promises: roles, same origin, a strict policy, and nothing over plain HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugepost import Region
from gaugepost.ledger.users import Role
from gaugepost.ledger.webhook_records import Endpoint, new_endpoint_id
from support.console import PASSWORD, SAME, Person, add_user, signed_in
from support.console_routes import path_of, routes
from support.gateway import GatewayProcess
from support.redis_server import RedisServer
from support.wait import wait_until

OPEN = {
    ("GET", "/sign-in/openid"),
    ("GET", "/sign-in/openid/back"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/static/{name}"),
}
"""All that a visitor without a session may call."""


@pytest.fixture
def ann(gateway: GatewayProcess) -> Person:
    return signed_in(gateway, "ann", Role.VIEWER)


def test_every_route_has_a_role_but_those_of_the_sign_in() -> None:
    assert {(route.method, route.path) for route in routes() if route.role is None} == OPEN
    assert {route.method for route in routes()} == {"GET", "POST"}
    assert all(route.action for route in routes() if route.method == "POST")


def test_every_route_sends_strangers_to_the_sign_in(gateway: GatewayProcess) -> None:
    stranger = Person(gateway)
    for route in routes():
        if route.role is not None:
            path = path_of(route)
            answer = stranger.get(path) if route.method == "GET" else stranger.post(path)
            assert (answer.status_code, answer.headers["Location"][:8]) == (303, "/sign-in"), route


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "self"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https self"},
        {},
    ],
)
def test_every_change_from_another_origin_is_refused(ann: Person, headers: dict[str, str]) -> None:
    ours = {"self": ann.url, "https self": ann.url.replace("http:", "https:")}
    given = {name: ours.get(value, value) for name, value in headers.items()}
    for route in routes():
        if route.method == "POST":
            answer = ann.post(path_of(route), given)
            assert answer.status_code == 403, route
            assert "came from another site" in answer.text
    assert ann.is_signed_in()


def test_origin_is_enough_for_an_older_browser(ann: Person) -> None:
    assert ann.post("/sign-out", {"Origin": ann.url}).status_code == 303


def test_changes_are_no_links(ann: Person) -> None:
    only_post = {route.path for route in routes()} - {route.path for route in routes() if route.method == "GET"}
    for path in only_post:
        answer = ann.get(path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST"), path
    assert ann.is_signed_in()


def test_every_page_has_the_strict_policy_and_no_inline_code(ann: Person) -> None:
    pages = [path_of(route) for route in routes() if route.method == "GET" and route.path != "/static/{name}"]
    for path in [*pages, "/no-such-page"]:
        answer = ann.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert (answer.headers["X-Content-Type-Options"], answer.headers["Cache-Control"]) == ("nosniff", "no-store")
        assert "<style" not in answer.text
        assert " style=" not in answer.text
        assert "<script>" not in answer.text
        assert " on" not in [piece[:3] for piece in answer.text.split("<") if '=" on' in piece]


def test_refusal_of_a_viewer_names_the_role(gateway: GatewayProcess, ann: Person) -> None:
    for route in routes():
        if route.role in {Role.OPERATOR, Role.ADMIN}:
            path = path_of(route)
            answer = ann.get(path) if route.method == "GET" else ann.post(path)
            assert answer.status_code == 403, route
            assert f"needs the role {route.role}" in answer.text


def test_unknown_page_is_a_page_for_people_and_json_for_programs(ann: Person) -> None:
    page = ann.get("/no-such-page").text
    assert "there is no such page." in page
    assert "Try again" not in page
    answer = ann.get("/no-such-page", Accept="application/json")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert ann.get("/v1/no-such-page").headers["Content-Type"] == "application/problem+json"


def test_page_that_has_not_changed_is_not_sent_again(ann: Person) -> None:
    def has_not_changed() -> bool:
        """Ask twice. The page may change in between: its figures were old, and are read now."""
        nonlocal etag
        etag = ann.get("/").headers["ETag"]
        again = ann.get("/", If_None_Match=etag, HX_Request="true")
        return (again.status_code, again.content) == (304, b"")

    etag = ""
    wait_until(has_not_changed)
    other = ann.get("/?a=b", If_None_Match=etag)
    assert other.status_code == 200


def test_open_page_goes_to_the_sign_in_when_its_session_ends(ann: Person) -> None:
    ann.post("/sign-out")
    ann.http.cookies.clear()
    answer = ann.get("/?a=b", HX_Request="true")
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/sign-in?next=/%3Fa%3Db")


def test_files_are_kept_for_ever_because_their_names_have_hashes(ann: Person) -> None:
    text = ann.get("/sign-in").text
    found = [part.partition('"')[0] for part in text.split('"/static/')[1:]]
    assert len(found) == 5
    for name in found:
        answer = ann.get(f"/static/{name}")
        assert "immutable" in answer.headers["Cache-Control"]
    for name in ("console.css", "../__init__.py", "%2e%2e%2f__init__.py", ""):
        assert ann.get(f"/static/{name}").status_code == 404


@pytest.fixture
def behind_tls(server: RedisServer, tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path, server.url, console_url="https://console.example") as gateway:
        yield gateway


def test_plain_http_from_elsewhere_shows_no_sign_in(behind_tls: GatewayProcess) -> None:
    answer = Person(behind_tls, Host="gateway.example").get("/sign-in")
    assert answer.status_code == 403
    assert "needs https://" in answer.text
    assert "<form" not in answer.text


def test_gateway_warns_that_all_people_have_the_address_of_the_proxy(behind_tls: GatewayProcess) -> None:
    assert behind_tls.log().count("--proxy-headers is missing") == 1


def test_session_behind_tls_is_bound_to_the_host_and_to_tls(server: RedisServer, behind_tls: GatewayProcess) -> None:
    with server.client() as client:
        client.flushall()
    add_user(behind_tls)
    person = Person(behind_tls, Host="console.example")
    cookie = person.sign_in().headers["Set-Cookie"]
    assert cookie.startswith("__Host-gaugepost=eu.")
    assert all(part in cookie for part in ("Secure", "HttpOnly", "Path=/", "SameSite=lax"))
    assert "Domain" not in cookie
    fields = {"name": "ann", "password": PASSWORD}
    refused = person.http.post(
        f"{behind_tls.url}/sign-in", fields, headers={"Origin": "http://console.example"}, allow_redirects=False
    )
    assert refused.status_code == 403
    assert SAME


def test_settings_show_what_exists_and_no_secret(gateway: GatewayProcess) -> None:
    add_user(gateway, "root", Role.ADMIN)
    key = gateway.put_key("crm", source="<b>crm</b>")
    endpoint = Endpoint(new_endpoint_id(), "https://hooks.example/<i>", ("job.dead",), ("eu",), created=1, by="root")
    assert gateway.producer.ledger(Region.EU).webhooks.put(endpoint, "whsec_c2VjcmV0")
    admin = Person(gateway)
    admin.sign_in("root")
    text = admin.get("/settings").text
    assert all(shown in text for shown in ("root", "crm", "&lt;b&gt;crm", "hooks.example/&lt;i&gt;", "active"))
    assert not any(secret in text for secret in (key, "whsec_", "argon2"))
