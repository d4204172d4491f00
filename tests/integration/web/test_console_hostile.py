"""Hostile values in the URLs and forms of all pages: an answer in words, and never a failure of the console."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import quote

import pytest

from gaugepost import Region
from gaugepost.ledger.users import Role
from gaugepost_ops.web.console.job_queries import NAMES
from support.console import SAME, Person, signed_in
from support.console_jobs import die, lose
from support.gateway import GatewayProcess
from support.redis_server import RedisServer
from support.wait import wait_until

LAST = "9999-12-31T23:59:59.999999Z"
NO_JOB = "f" * 32
VALUES = (
    "\0",
    "'\"><script>alert(1)</script>",
    "x\r\nX-Bad: 1",
    "9" * 5_000,
    "-1",
    "1e400",
    "NaN",
    "٣",
    "x" * 10_000,
    "\U0001f600" * 300,
    "\u202e\ufffe\x85",
    LAST,
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999-23:59",
    "999999d",
    "1000000d",
    "9" * 400 + "d",
    f"0~{'9' * 17}.{NO_JOB}",
    f"7~{'9' * 17}.{NO_JOB}",
    "0~" + "9" * 12,
    "99~",
    "1~x",
    f"{'9' * 17}.{NO_JOB}",
    "18446744073709551615-18446744073709551615",
    "0-0",
    ":",
    "{{7*7}}%s%(x)s",
)
LISTED = {
    "/": ("region",),
    "/stuck": ("region",),
    "/jobs": (*NAMES, "q", "cursor", "back"),
    "/uploads": ("region",),
    "/batches": ("region", "after"),
    "/holds": ("region", "after"),
    "/operations": ("region", "after"),
    "/audit": ("actor", "action", "job", "since", "until", "region", "cursor", "newer"),
    "/history": ("range",),
    "/settings": ("x",),
    "/sign-in": ("next", "link"),
    "/sign-in/openid": ("next",),
    "/sign-in/openid/back": ("state", "code"),
}
ONE = ("/jobs/{}", "/jobs/{}/events", "/batches/{}", "/operations/{}", "/uploads/{}", "/uploads/{}/undo", "/static/{}")
FORMS = {
    "/jobs/{id}/cancel": {"reason": "x"},
    "/jobs/{id}/replay": {"reason": "x"},
    "/jobs/{id}/settle": {"reason": "x", "as": "dead"},
    "/jobs/{id}/data": {"reason": "x"},
    "/jobs/bulk": {"action": "replay", "region": "eu", "state": "dead", "reason": "x"}
    | dict.fromkeys(("kind", "verdict", "configuration", "field", "key", "email", "since", "until", "number"), ""),
    "/holds": {"region": "eu", "what": "", "configuration": "", "reason": "x", "until": "1h"},
    "/holds/lift": {"id": "eu"},
    "/batches/b/resume": {"region": "eu"},
    "/batches/b/cancel": {"region": "eu", "reason": "x"},
    "/operations/op-000000000000/pause": {"x": "x"},
    "/sign-in": {"name": "x", "password": "x", "next": "", "link": ""},
}


@pytest.fixture(scope="module")
def of_eu(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Run a gateway of one region, in the time zone in which each day begins first."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", "XST-14")
        gateway = GatewayProcess(tmp_path_factory.mktemp("eu"), server.url, regions="eu")
    with gateway:
        yield gateway


@pytest.fixture
def only_eu(of_eu: GatewayProcess, server: RedisServer) -> GatewayProcess:
    with server.client() as client:
        client.flushall()
    return of_eu


@pytest.fixture
def admin(only_eu: GatewayProcess) -> Person:
    return signed_in(only_eu, "root", Role.ADMIN)


def failures(person: Person, paths: Iterator[str]) -> list[tuple[str, int]]:
    """Return the paths that the console cannot answer."""
    failed = [path for path in paths if person.get(path).status_code >= HTTPStatus.INTERNAL_SERVER_ERROR]
    again = ((path[:200], person.get(path).status_code) for path in failed)  # Redis may once have been slow
    return [(path, status) for path, status in again if status >= HTTPStatus.INTERNAL_SERVER_ERROR]


def lists() -> Iterator[str]:
    for path, names in LISTED.items():
        for name in names:
            yield from (f"{path}?{name}={quote(value)}" for value in VALUES)
    for name in (*NAMES, "action"):
        given = f"/jobs/bulk?region=eu&state=dead&action=replay&{name}="
        yield from (given + quote(value) for value in VALUES)
    for one in ("id", "email", "since", "region", "x", ""):
        yield from (f"/jobs?q={one}:{quote(value)}" for value in VALUES)
    for state in ("queued", "waiting", "parked", "dead", "unknown"):
        yield from (f"/jobs?region=eu&state={state}&cursor={quote(value)}" for value in VALUES)


def test_no_value_in_a_url_makes_a_list_fail(only_eu: GatewayProcess, admin: Person) -> None:
    die(only_eu.producer)
    assert failures(admin, lists()) == []
    assert "Traceback" not in only_eu.log()


def test_no_value_in_a_path_makes_a_page_fail(only_eu: GatewayProcess, admin: Person) -> None:
    assert failures(admin, (path.format(quote(value, safe="")) for path in ONE for value in VALUES)) == []
    assert "Traceback" not in only_eu.log()


@pytest.mark.timeout(900)
def test_no_value_in_a_form_makes_a_change_fail(only_eu: GatewayProcess, admin: Person) -> None:
    job_id, failed = lose(only_eu.producer), []
    operations = only_eu.producer.ledger(Region.EU).operations
    for path, fields in FORMS.items():
        for name in fields:
            for value in VALUES:
                answer = admin.post(path.format(id=job_id), **(fields | {name: value}))
                for one in operations.list():
                    operations.abort(one.id)  # a region has at most 100 open ones
                if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    failed.append((path, name, value[:40], answer.status_code))
    assert failed == []
    assert failures(admin, iter(LISTED)) == []
    assert "Traceback" not in only_eu.log()


def test_no_value_in_the_form_of_a_file_makes_it_fail(only_eu: GatewayProcess, admin: Person) -> None:
    before, failed = only_eu.log(), []
    good = {"region": "eu", "family": "contact", "deliver_at": "", "batch": "", "source": ""}
    for field in (*good, "first", "x", "name of the file", "content"):
        for value in VALUES:
            form = good | ({field: value} if field in {*good, "first", "x"} else {})
            name = value if field == "name of the file" else "people.csv"
            content = value.encode() if field == "content" else b"Email\na@example.com\n"
            answer = admin.http.post(
                f"{admin.url}/uploads/new", data=form, files={"file": (name, content)}, headers=SAME, timeout=30
            )
            if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                failed.append((field, value[:40], answer.status_code))
    assert failed == []
    assert "Traceback" not in only_eu.log().removeprefix(before)


def raw(person: Person, target: bytes, *headers: bytes, host: bytes = b"127.0.0.1") -> int:
    """Send bytes that no client library would send. Return the status."""
    cookie = "; ".join(f"{one.name}={one.value}" for one in person.http.cookies).encode()
    lines = [b"GET %s HTTP/1.1" % target, b"Host: " + host, b"Accept: text/html", b"Cookie: " + cookie, *headers]
    address, port = person.url.removeprefix("http://").split(":")
    with socket.create_connection((address, int(port)), timeout=30) as connection:
        connection.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
        answer = connection.makefile("rb").read()
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("path", [b"/", b"/jobs", b"/jobs/bulk", b"/audit", b"/sign-in", b"/no-such-page", b"/v1/jobs"])
def test_raw_bytes_in_a_url_are_refused(admin: Person, path: bytes) -> None:
    assert raw(admin, path + b"?q=\xff\xfe&after=\xe9") == 400
    assert raw(admin, path + b"/\xff") == 400
    assert raw(admin, path + b"?q=%ff%fe&after=%e9") == raw(admin, path + b"?q=x&after=x") < 500


@pytest.mark.parametrize("host", [b"[", b"a:b:c", b"\xff", b"a/b", b"", b"x" * 10_000, b"127.0.0.1:99999999"])
def test_no_host_makes_a_page_fail(only_eu: GatewayProcess, admin: Person, host: bytes) -> None:
    assert raw(admin, b"/jobs?q=x", host=host) < 500
    assert "Traceback" not in only_eu.log()


def test_list_refuses_a_region_that_is_not_served(only_eu: GatewayProcess, admin: Person) -> None:
    only_eu.producer.ledger(Region.US).hold("", "maintenance of us", "bob")
    for path in ("/jobs?region=us", "/jobs?q=region:us", "/jobs/bulk?region=us&state=dead&action=replay"):
        answer = admin.get(path)
        assert (path, answer.status_code) == (path, 422)
        assert "region: this gateway serves eu, and not us" in answer.text
    form = {"region": "us", "state": "dead", "action": "replay", "reason": "x"}
    assert admin.post("/jobs/bulk", **form).status_code == 422
    assert only_eu.producer.ledger(Region.US).operations.list() == []
    assert admin.get("/stuck?region=us").status_code == 404
    assert admin.get("/stuck?region=mars").status_code == 400


def test_hold_until_the_last_moment_is_listed(only_eu: GatewayProcess, admin: Person) -> None:
    ledger = only_eu.producer.ledger(Region.EU)
    form = {"region": "eu", "what": "", "configuration": "", "reason": "for ever", "until": LAST}
    assert admin.post("/holds", **form).status_code == 303
    assert ledger.hold("configuration:c", "later", "bob", 10**15)
    for path in ("/holds", "/", "/stuck", "/jobs?state=parked", "/uploads"):
        answer = admin.get(path)
        assert (path, answer.status_code) == (path, 200)
    assert "for ever" in admin.get("/holds").text
    wait_until(lambda: "for ever" in admin.get("/").text)  # the overview may be a second old
    key = only_eu.key("x", regions=("eu",))
    for path in ("/v1/holds", "/v1/status", "/v1/uploads"):
        assert (path, only_eu.call("GET", path, key).status_code) == (path, 200)
