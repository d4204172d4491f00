"""Sign in to the console: passwords, links, sessions, and the attacks on them."""

from __future__ import annotations

import re

import pytest

from gaugepost import Region
from gaugepost.ledger.users import Role
from support.console import PASSWORD, Person, add_user
from support.gateway import GatewayProcess
from support.redis_server import RedisServer
from support.wait import wait_until


@pytest.fixture
def ann(gateway: GatewayProcess) -> Person:
    add_user(gateway)
    return Person(gateway)


def test_password_starts_a_session_whose_id_redis_does_not_have(ann: Person, server: RedisServer) -> None:
    answer = ann.sign_in(next="/account")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account")
    cookie = answer.headers["Set-Cookie"]
    assert re.fullmatch(r"gaugepost=eu\.[\w-]{43}; HttpOnly; Max-Age=604800; Path=/; SameSite=lax", cookie)
    secret = cookie.partition(".")[2].partition(";")[0]
    with server.client() as client:
        assert all(secret.encode() not in name + (client.dump(name) or b"") for name in client.scan_iter())
    assert "ann" in ann.get("/account").text


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("bob", PASSWORD), ("", ""), ("a" * 9_000, "\x00")])
def test_wrong_name_and_wrong_password_have_one_answer(ann: Person, name: str, password: str) -> None:
    answer = ann.sign_in(name, password)
    assert answer.status_code == 403
    assert "do not belong together" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert not ann.is_signed_in()


def test_planted_session_id_is_worth_nothing_after_the_sign_in(ann: Person, gateway: GatewayProcess) -> None:
    planted = "eu." + "A" * 43
    with_it = {"Sec-Fetch-Site": "same-origin", "Cookie": f"gaugepost={planted}"}
    answer = ann.post("/sign-in", with_it, name="ann", password=PASSWORD)
    assert answer.status_code == 303
    assert planted not in answer.headers["Set-Cookie"]
    thief = Person(gateway)
    thief.http.cookies.set("gaugepost", planted)
    assert not thief.is_signed_in()


def test_sign_in_ends_the_session_of_the_same_browser(ann: Person, gateway: GatewayProcess) -> None:
    ann.sign_in()
    thief = Person(gateway)
    thief.http.cookies.update(ann.http.cookies)
    ann.sign_in()
    assert ann.is_signed_in()
    wait_until(lambda: not thief.is_signed_in())


@pytest.mark.parametrize("how", ["sign out", "everywhere", "by command", "removed"])
def test_stolen_session_ends_with_the_sign_out(ann: Person, gateway: GatewayProcess, how: str) -> None:
    ann.sign_in()
    thief = Person(gateway)
    thief.http.cookies.update(ann.http.cookies)
    assert thief.is_signed_in()
    match how:
        case "sign out":
            assert ann.post("/sign-out").headers["Location"] == "/sign-in"
        case "everywhere":
            other = Person(gateway)
            other.sign_in()
            assert other.post("/sign-out-everywhere").headers["Location"] == "/sign-in"
        case "by command":
            gateway.producer.ledger(Region.EU).users.sign_out("ann")
        case _:
            gateway.producer.ledger(Region.EU).users.drop("ann")
    wait_until(lambda: not thief.is_signed_in())


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example", "https://evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
        "/\t/evil.example", "/a\r\nSet-Cookie: a=b", "evil.example", "/%0d%0a\nx", "http:evil.example", "/ä",
    ],
)  # fmt: skip
def test_sign_in_leads_to_no_other_site(ann: Person, elsewhere: str) -> None:
    answer = ann.sign_in(next=elsewhere)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert "a" not in ann.http.cookies
    assert "evil" not in ann.get("/sign-in?next=//evil.example").text


def test_page_is_shown_after_the_sign_in(ann: Person) -> None:
    answer = ann.get("/account?a=1&b=%2F")
    assert answer.headers["Location"] == "/sign-in?next=/account%3Fa%3D1%26b%3D%252F"
    shown = ann.get(answer.headers["Location"]).text
    assert 'name="next" value="/account?a=1&amp;b=%2F"' in shown
    assert ann.sign_in(next="/account?a=1&b=%2F").headers["Location"] == "/account?a=1&b=%2F"


def test_guesses_are_slowed_and_a_link_still_signs_in(ann: Person, gateway: GatewayProcess) -> None:
    for _ in range(4):
        assert ann.sign_in(password="guess").status_code == 403
    answer = ann.sign_in()
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert "too many failed attempts" in answer.text
    assert gateway.producer.ledger(Region.US).users.put_link("us.secret", "ann", 60_000)
    assert ann.post("/sign-in", link="us.secret").status_code == 303
    assert ann.is_signed_in()


def test_unknown_name_is_slowed_like_a_known_one(ann: Person) -> None:
    assert [ann.sign_in("nobody").status_code for _ in range(5)] == [403] * 4 + [429]


def test_link_is_used_once_and_not_by_looking_at_it(ann: Person, gateway: GatewayProcess) -> None:
    assert gateway.producer.ledger(Region.EU).users.put_link("eu.secret", "ann", 60_000)
    for _ in range(2):
        assert 'value="eu.secret"' in ann.get("/sign-in?link=eu.secret").text
    assert not ann.is_signed_in()
    assert ann.post("/sign-in", link="eu.secret").headers["Location"] == "/"
    assert ann.is_signed_in()
    again = Person(gateway).post("/sign-in", link="eu.secret")
    assert again.status_code == 403
    assert "was used before" in again.text
    assert Person(gateway).post("/sign-in", link="xx.secret").status_code == 403
    assert "secret" not in gateway.log()


def test_removed_role_counts_at_once(ann: Person, gateway: GatewayProcess) -> None:
    add_user(gateway, "bob", Role.ADMIN)
    ann.sign_in("bob")
    assert "admin" in ann.get("/account").text


def test_no_password_is_in_the_log(ann: Person, gateway: GatewayProcess) -> None:
    ann.sign_in(password="a-secret-guess")
    ann.sign_in()
    assert not any(secret in gateway.log() for secret in (PASSWORD, "a-secret-guess", ann.http.cookies["gaugepost"]))
