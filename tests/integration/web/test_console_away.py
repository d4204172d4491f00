"""One region's Redis is away, stopped or frozen: pages show what the others have, and name the one that is away."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

import pytest

from gaugepost import File, Record, Region
from gaugepost.ledger.audit import AuditEntry
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action
from gaugepost.ledger.users import Role
from gaugepost.states import JobState
from support.console import Person, signed_in
from support.gateway import GatewayProcess
from support.redis_server import RedisServer
from support.wait import wait_until

Away = Callable[[RedisServer], AbstractContextManager[None]]
PAGES = {
    "/jobs": "record {} crm",
    "/jobs?state=queued": "record {} crm",
    "/jobs?q=batch:all": "record {} crm",
    "/holds": "maintenance of {}",
    "/operations": "operation of {}",
    "/batches": "of-{}",
    "/audit": "entry of {}",
    "/uploads": "{}.csv",
    "/history": "{} Nothing is recorded in this hour",
    "/": "maintenance of {}",
    "/stuck": "maintenance of {}",
}
"""Each page, and what it shows of a region. The last two read in the background."""
IN_BACKGROUND = ("/", "/stuck")
EVERYWHERE = (200, ["eu", "us", "au"], list[str]())


class Servers(NamedTuple):
    """A Redis for each region, and the URL that leads to each."""

    url: str
    of: Mapping[Region, RedisServer]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Run a Redis for each region, on sockets whose names have the region."""
    with ExitStack() as stack:
        sockets = stack.enter_context(tempfile.TemporaryDirectory())  # short: a path of a socket has 107 characters
        found = {}
        for region in Region:
            one = RedisServer(tmp_path_factory.mktemp(region), "--unixsocket", f"{sockets}/{region}.sock")
            stack.callback(one.stop)
            found[region] = one.start()
        yield Servers(f"unix://{sockets}/{{region}}.sock", found)


@pytest.fixture(scope="module")
def process(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), servers.url) as gateway:
        for region in Region:
            fill(gateway, region)
        yield gateway


def fill(gateway: GatewayProcess, region: Region) -> None:
    """Give a region one thing for each page."""
    ledger, record = gateway.producer.ledger(region), {"Email": "joe@example.com"}
    for batch in ("all", f"of-{region}"):
        gateway.producer.enqueue(Record(region=region, configuration="c", record=record, batch=batch, source="crm"))
    content = {"filename": f"{region}.csv", "content_base64": "RW1haWwKYUBiLmV4YW1wbGUK"}
    gateway.producer.enqueue(File(region=region, family="contact", **content))
    ledger.hold("", f"maintenance of {region}", "bob")
    dead = JobFilter(state=JobState.DEAD)
    ledger.operations.start(Action.REPLAY, dead, by="bob", reason=f"operation of {region}")
    ledger.audit.write(AuditEntry("bob", "hold", str(region), reason=f"entry of {region}"))


@pytest.fixture
def ann(process: GatewayProcess, servers: Servers) -> Person:
    """Return an operator, whose session is in eu."""
    wait_until(lambda: process.call("GET", "/readyz").status_code == 200)
    return signed_in(process, "ann", Role.OPERATOR)


HOW = {"stopped": RedisServer.stopped, "frozen": RedisServer.frozen}


@pytest.fixture(params=HOW)
def away(request: pytest.FixtureRequest) -> Away:
    return HOW[request.param]  # type: ignore[no-any-return]


def shown(person: Person, path: str) -> tuple[int, list[str], list[str]]:
    """Return the status, the regions of which the page shows something, and those that it names as away."""
    answer = person.get(path)
    text = " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())
    of = [str(one) for one in Region if PAGES[path].format(one) in text]
    why = "(?:| could not be asked):? Redis cannot be reached| cannot be read: its Redis does not answer"
    names = [name.lower() for name in re.findall(rf"\b(eu|us|au)(?:{why})", text, re.IGNORECASE)]
    return answer.status_code, of, list(dict.fromkeys(names))


def check(person: Person, path: str, expected: tuple[int, list[str], list[str]]) -> None:
    """Check what a page shows: at once, unless it is read in the background."""
    if path in IN_BACKGROUND:
        wait_until(lambda: shown(person, path) == expected, what=lambda: f"{path}: {shown(person, path)}")
    assert (path, *shown(person, path)) == (path, *expected)


def test_pages_show_other_regions_and_name_the_one_that_is_away(ann: Person, servers: Servers, away: Away) -> None:
    for path in PAGES:
        wait_until(lambda path=path: shown(ann, path) == EVERYWHERE, what=path)  # type: ignore[misc]
    with away(servers.of[Region.US]):
        for path in PAGES:
            check(ann, path, (200, ["eu", "au"], ["us"]))
        failed = ann.get("/jobs?region=us")
        assert (failed.status_code, '<a href="">Try again</a>' in failed.text) == (503, True)
        assert ann.get("/holds?region=eu").status_code == 200
        for path in ("/holds", "/operations", "/batches", "/uploads"):
            answer = ann.get(f"{path}?region=us")
            assert (answer.status_code, 'class="empty"' in answer.text) == (200, False)
            assert "US cannot be read: its Redis does not answer." in answer.text
        assert ann.get("/settings").status_code == 403
    for path in PAGES:
        wait_until(lambda path=path: shown(ann, path) == EVERYWHERE, what=path)  # type: ignore[misc]


def test_person_whose_session_is_away_signs_in_again(ann: Person, servers: Servers, away: Away) -> None:
    with away(servers.of[Region.EU]):
        wait_until(lambda: ann.get("/").status_code == 503)
        assert "your session is kept in eu, whose Redis cannot be reached. Sign in again" in ann.get("/holds").text
        assert ann.sign_in().status_code == 303
        for path in PAGES:
            check(ann, path, (200, ["us", "au"], ["eu"]))


def test_job_of_another_region_is_shown_and_changed(
    process: GatewayProcess, ann: Person, servers: Servers, away: Away
) -> None:
    record = {"Email": "joe@example.com"}
    ids = [process.producer.enqueue(Record(region=one, configuration="c", record=record)).id for one in ("us", "au")]
    with away(servers.of[Region.US]):
        of_us = ann.get(f"/jobs/{ids[0]}")
        assert of_us.status_code == 503
        assert "us could not be asked" in of_us.text
        assert ann.get(f"/jobs/{ids[0]}/events").status_code == 503
        assert ann.get(f"/jobs/{ids[1]}").status_code == 200
        assert ann.post(f"/jobs/{ids[1]}/cancel", reason="x").status_code == 303
        assert ann.post(f"/jobs/{ids[0]}/cancel", reason="x").status_code == 503
