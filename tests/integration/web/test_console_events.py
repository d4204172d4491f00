"""The stream of events of an open page of a job: while Redis is away, when there are too many, and in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from gaugepost import Region
from gaugepost.ledger.users import Role
from gaugepost_ops.web.console.job_events import MOST_STREAMS
from support.browser import chromium
from support.console import Person, add_user
from support.console_jobs import put
from support.console_pages import sign_in
from support.gateway import GatewayProcess
from support.redis_server import RedisServer
from support.wait import wait_until

HOW = {"stopped": RedisServer.stopped, "frozen": RedisServer.frozen}


@pytest.fixture(params=HOW)
def away(request: pytest.FixtureRequest, server: RedisServer) -> Any:
    return lambda: HOW[request.param](server)


@contextmanager
def stream(person: Person, job_id: str) -> Iterator[Iterator[str]]:
    """Open a stream, and yield its events."""
    url = f"{person.url}/jobs/{job_id}/events"
    with person.http.get(url, stream=True, timeout=60) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines(decode_unicode=True)
        yield (line.removeprefix("event: ") for line in lines if line.startswith("event: "))


def test_stream_says_that_redis_is_away_and_that_it_is_back(gateway: GatewayProcess, ann: Person, away: Any) -> None:
    [job_id] = put(gateway.producer)
    before = gateway.log()
    with stream(ann, job_id) as events:
        assert next(events) == "changed", "perhaps before the stream began"
        with away():
            assert next(events) == "away"
        assert next(events) == "changed"
        wait_until(lambda: gateway.producer.ledger(Region.EU).cancel([job_id]))
        assert [next(events), next(events)] == ["changed", "ended"]
    assert "Traceback" not in gateway.log().removeprefix(before)


def test_stream_of_a_deleted_job_says_so_and_ends(gateway: GatewayProcess, server: RedisServer, ann: Person) -> None:
    [job_id] = put(gateway.producer)
    with stream(ann, job_id) as events:
        assert next(events) == "changed"
        with server.client() as client:
            client.delete(gateway.producer.ledger(Region.EU).keys.of("job:", job_id))
        assert list(events) == ["changed"]


def test_streams_of_a_process_have_a_limit(gateway: GatewayProcess, ann: Person) -> None:
    [job_id] = put(gateway.producer)

    def refused() -> bool:
        with ann.http.get(f"{ann.url}/jobs/{job_id}/events", stream=True, timeout=60) as answer:
            return answer.status_code == 503

    with ExitStack() as stack:
        for _ in range(MOST_STREAMS):
            assert next(stack.enter_context(stream(ann, job_id))) == "changed"
        answer = ann.get(f"/jobs/{job_id}/events")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
        assert "this page asks every 2 s instead" in answer.text
        assert ann.get(f"/jobs/{job_id}").status_code == 200
    wait_until(lambda: not refused(), what="closed streams count no more")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.mark.needs("chromium")
def test_page_that_gets_no_stream_follows_its_job(browser: Browser, gateway: GatewayProcess, ann: Person) -> None:
    add_user(gateway, "bob", Role.OPERATOR)
    [job_id] = put(gateway.producer)
    page = sign_in(browser.new_context(base_url=gateway.url), "bob")
    with ExitStack() as stack:
        for _ in range(MOST_STREAMS):
            stack.enter_context(stream(ann, job_id))
        page.goto(f"/jobs/{job_id}")
        gateway.producer.ledger(Region.EU).cancel([job_id])
        expect(page.get_by_role("heading", level=1)).to_have_text("A person cancelled it before it was sent.")
    page.context.close()


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("path", ["/jobs/{}", "/", "/holds"])
def test_open_page_says_that_it_is_old_while_redis_is_away(
    browser: Browser, gateway: GatewayProcess, away: Any, path: str
) -> None:
    add_user(gateway, "bob", Role.OPERATOR)
    [job_id] = put(gateway.producer)
    page = sign_in(browser.new_context(base_url=gateway.url), "bob")
    page.goto(path.format(job_id))
    old = page.get_by_text("This page may show old facts")
    expect(old).to_be_hidden()
    with away():
        expect(old).to_be_visible(timeout=30_000)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(old).to_be_hidden(timeout=30_000)
    page.context.close()
