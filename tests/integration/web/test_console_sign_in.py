"""Sign in to the console: passwords, links, sessions, and the attacks on them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gaugepost import Region
from gaugepost.ledger.audit import AuditEntry
from gaugepost.ledger.users import FREE_OF_NAME, Role, UserCalls
from support.console import PASSWORD, Person, add_user
from support.factories import record
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


@pytest.fixture
def guess(ann: Person, server: RedisServer) -> Callable[[str], None]:
    """Return what guesses the password of a name until the next attempt must wait."""

    def go(name: str) -> None:
        for _ in range(FREE_OF_NAME):
            assert ann.sign_in(name, "guess").status_code == 403
        with server.client() as client:
            for key in client.scan_iter("gaugepost:{eu}:sign_in_tries:*"):
                client.hincrby(key, "failures", 6)  # the first waits are short: a busy machine outlasts them
        assert ann.sign_in(name, "guess").status_code == 403

    return go


def test_guesses_are_slowed_and_a_link_still_signs_in(
    ann: Person, gateway: GatewayProcess, guess: Callable[[str], None]
) -> None:
    guess("ann")
    answer = ann.sign_in()
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert "too many failed attempts" in answer.text
    assert gateway.producer.ledger(Region.US).users.put_link("us.secret", "ann", 60_000)
    assert ann.post("/sign-in", link="us.secret").status_code == 303
    assert ann.is_signed_in()


def test_unknown_name_is_slowed_like_a_known_one(ann: Person, guess: Callable[[str], None]) -> None:
    guess("nobody")
    assert ann.sign_in("nobody").status_code == 429


def test_link_is_used_once_and_not_by_looking_at_it(ann: Person, gateway: GatewayProcess) -> None:
    assert gateway.producer.ledger(Region.EU).users.put_link("eu.secret", "ann", 60_000)
    for _ in range(2):
        shown = ann.get("/sign-in?link=eu.secret").text
        assert 'value="eu.secret"' in shown
        assert "<strong>ann</strong>" in shown
    assert not ann.is_signed_in()
    assert ann.post("/sign-in", link="eu.secret").headers["Location"] == "/"
    assert ann.is_signed_in()
    assert "was used before" in ann.get("/sign-in?link=eu.secret").text
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


@pytest.fixture
def idle(ann: Person, gateway: GatewayProcess, server: RedisServer) -> Iterator[Callable[[], int]]:
    """Sign ann in by a session that the gateway has not seen. Return what says when it ends without use."""
    ledger, session = gateway.producer.ledger(Region.EU), f"eu.{secrets.token_urlsafe(32)}"
    assert ledger._run(UserCalls(ledger.keys).start(session, "ann"))
    ann.http.cookies.set("gaugepost", session)
    with server.client() as client:
        [name] = client.scan_iter("gaugepost:{eu}:session:*")
        client.hincrby(name, "idle", -3_600_000)
        yield lambda: int(client.hget(name, "idle") or 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"HX-Request": "true"},
        {"Accept": "text/event-stream"},
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    ],
)
def test_updates_of_an_open_page_do_not_prolong_the_session(
    ann: Person, idle: Callable[[], int], headers: dict[str, str]
) -> None:
    before = idle()
    assert ann.get("/account", **headers).status_code == 200
    assert idle() == before
    assert ann.get("/account", Sec_Fetch_Mode="navigate").status_code == 200
    assert idle() > before, "a person asked, at once after the page"


def test_events_of_a_job_do_not_prolong_the_session(
    ann: Person, gateway: GatewayProcess, idle: Callable[[], int]
) -> None:
    before, job = idle(), gateway.producer.enqueue(record())
    with ann.http.get(
        f"{ann.url}/jobs/{job.id}/events", headers={"Accept": "text/event-stream"}, stream=True
    ) as events:
        assert events.status_code == 200
        assert next(events.iter_lines())
    assert idle() == before


def trail(gateway: GatewayProcess, region: Region = Region.EU) -> list[AuditEntry]:
    return gateway.producer.ledger(region).audit.read()


def rows(gateway: GatewayProcess) -> list[tuple[str, str, str, str]]:
    return sorted((one.actor, one.action, one.target, one.outcome) for one in trail(gateway) if one.via == "console")


def test_each_sign_in_and_sign_out_is_in_the_audit_trail_once(ann: Person, gateway: GatewayProcess) -> None:
    ann.sign_in()
    ann.post("/sign-out")
    assert gateway.producer.ledger(Region.EU).users.put_link("eu.secret", "ann", 60_000)
    ann.post("/sign-in", link="eu.secret")
    ann.post("/sign-out-everywhere")
    expected = [
        ("ann", "sign in", "link", "done"),
        ("ann", "sign in", "password", "done"),
        ("ann", "sign out", "all sessions", "done"),
        ("ann", "sign out", "this session", "done"),
    ]
    wait_until(lambda: rows(gateway) == expected)
    assert [trail(gateway, region) for region in (Region.US, Region.AU)] == [[], []]


def test_failed_sign_ins_are_recorded_few_times_and_without_unknown_names(server: RedisServer, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, server.url) as gateway, server.client() as client:
        client.flushall()
        add_user(gateway)
        stranger = Person(gateway)
        for name in ("ann", "ann", "a password", "another", "ann"):
            stranger.sign_in(name, "wrong")
        stranger.post("/sign-in", link="eu.guess")
        add_user(gateway, "last")
        assert stranger.sign_in("last").status_code == 303
        wait_until(lambda: ("last", "sign in", "password", "done") in rows(gateway))
        assert [row for row in rows(gateway) if row[0] != "last"] == [
            ("ann", "sign in", "password", "failed"),
            ("unknown name", "sign in", "password", "failed"),
        ]


def test_denied_change_is_recorded_in_the_region_of_the_session(ann: Person, gateway: GatewayProcess) -> None:
    assert gateway.producer.ledger(Region.US).users.put_link("us.secret", "ann", 60_000)
    ann.post("/sign-in", link="us.secret")
    assert ann.post("/holds").status_code == 403
    wait_until(lambda: "denied" in {one.outcome for one in trail(gateway, Region.US)})
    [denied] = [one for one in trail(gateway, Region.US) if one.outcome == "denied"]
    assert (denied.actor, denied.action, denied.region) == ("ann", "hold", None)
    assert trail(gateway) == []
