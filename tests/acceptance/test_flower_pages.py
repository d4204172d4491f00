"""Open Flower in a real browser: it lists workers of three regions and each job's state, only after login.

`SCREENSHOTS=docs/images make test TEST=tests/acceptance/test_flower_pages.py` makes the pictures of the docs again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import flower.urls
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, HttpCredentials, Page, expect

from gaugepost import CloseLoop, JobState, PersonalLink, Record, Region, Response
from support.browser import chromium
from support.redis_server import RedisServer, free_port
from support.stack import Stack
from support.wait import wait_until

pytestmark = pytest.mark.needs("chromium")

PASSWORD = "pass-9f41c7-word"
USER: HttpCredentials = {"username": "operator", "password": "correct-horse-7", "send": "always"}
PERSONAL = ("example.", "Jane", "Roe", "a very private note", "secret-key-of-a-ticket")


def link(email: str, region: Region) -> PersonalLink:
    return PersonalLink(region=region, configuration="multi-object", record={"Email": email, "Name": "Jane Roe"})


class Shown:
    """A stack with Flower, the jobs that went through it, and a browser."""

    def __init__(self, stack: Stack, browser: Browser, url: str) -> None:
        self.stack = stack
        self.browser = browser
        self.url = url
        self.workers = [stack.worker(region, concurrency=2) for region in ("eu", "us", "au")]
        stack.beat()
        stack.run("-m", "gaugepost_ops", "flower", "--address", "0.0.0.0", "--port", url.rpartition(":")[2])

    def logged_in(self) -> BrowserContext:
        return self.browser.new_context(
            base_url=self.url, http_credentials=USER, viewport={"width": 1440, "height": 720}
        )

    def names(self) -> list[str]:
        """Return the names that the workers report."""
        return sorted(line["name"] for line in self._log() if line.get("event") == "worker starts")

    def _log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stack.logs().splitlines() if line.startswith("{")]

    def deliver(self) -> None:
        """Deliver one job, park one, end one as dead, and enqueue others for the screenshot."""
        enqueue = self.stack.producer.enqueue
        self.delivered = enqueue(link("jane@example.net", Region.EU), idempotency_key="secret-key-of-a-ticket")
        self.parked = enqueue(link("no-campaign@example.com", Region.US))
        self.dead = enqueue(link("duplicate@example.com", Region.AU))
        record = {"Email": "roe@example.net", "Name": "Jane Roe"}
        others = [
            *(Record(region=region, configuration="contact", record=record) for region in (Region.EU, Region.US)),
            CloseLoop(region=Region.EU, number_customergauge="53499", status="progress", note="a very private note"),
            Response(region=Region.AU, fields={"Email": "roe@example.net"}, net_promoter_score=9, comment="Jane says"),
        ]
        handles = [self.delivered, self.parked, self.dead, *map(enqueue, others)]
        rest = {JobState.DELIVERED, JobState.PARKED, JobState.DEAD}
        wait_until(lambda: {handle.state() for handle in handles} == rest, what="all jobs are at rest")


def flower_knows(shown: Shown, page: Page) -> bool:
    answer = page.request.get("/api/tasks")
    tasks = answer.json() if answer.ok else {}
    known = [tasks.get(job.id, {}).get("state") for job in (shown.delivered, shown.parked, shown.dead)]
    return known == ["SUCCESS", "RETRY", "FAILURE"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("flower")
    redis = RedisServer(folder, "--requirepass", PASSWORD)
    redis.url = f"redis://:{PASSWORD}@127.0.0.1:{redis.port}/0"
    login = f"someone:else,{USER['username']}:{USER['password']}"
    with chromium() as browser, Stack(folder, redis=redis, flower_basic_auth=login) as stack:
        shown = Shown(stack, browser, f"http://127.0.0.1:{free_port()}")
        page = shown.logged_in().new_page()
        wait_until(lambda: shown.names() and len(shown.names()) == 3, what="three workers")
        wait_until(lambda: workers_of(page).keys() == set(shown.names()), what="Flower sees them")
        wait_until(lambda: all(page.request.get(f"/worker/{name}").ok for name in shown.names()), what="they answer it")
        shown.deliver()
        wait_until(lambda: flower_knows(shown, page), what="Flower has received the jobs")
        yield shown


def workers_of(page: Page) -> dict[str, bool]:
    try:
        answer = page.request.get("/api/workers?status=1")
    except Error:  # it does not listen yet
        return {}
    return dict(answer.json()) if answer.ok else {}


@pytest.fixture
def page(shown: Shown) -> Iterator[Page]:
    context = shown.logged_in()
    yield context.new_page()
    context.close()


def picture(page: Page, name: str) -> None:
    if "SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / f"{name}.png")


def test_logged_in_user_sees_the_workers_of_three_regions(shown: Shown, page: Page) -> None:
    page.goto("/")
    for name in shown.names():
        row = page.locator("tr", has_text=name)
        expect(row).to_contain_text("Online")
    assert [name.partition("-")[0] for name in shown.names()] == ["au", "eu", "us"]
    picture(page, "flower-workers")


def test_each_job_is_listed_with_kind_state_and_reason(shown: Shown, page: Page) -> None:
    page.goto("/tasks")
    expected = {
        shown.delivered.id: ("gaugepost.personal_link", "SUCCESS", "eu-"),
        shown.parked.id: ("gaugepost.personal_link", "RETRY", "parked: no_campaign until 20", "us-"),
        shown.dead.id: ("gaugepost.personal_link", "FAILURE", "dead: duplicate", "au-"),
    }
    for job, words in expected.items():
        row = page.locator("tr", has_text=job)
        for word in words:
            expect(row).to_contain_text(word)
    page.set_viewport_size({"width": 1680, "height": 680})
    picture(page, "flower-tasks")
    page.goto(f"/task/{shown.parked.id}")
    expect(page.locator("#task-page")).to_contain_text("parked: no_campaign until ")
    until_text = re.search(r"no_campaign until ([-0-9 :]+) UTC", page.content())
    assert until_text is not None
    shown_until = datetime.fromisoformat(f"{until_text[1]}+00:00").timestamp() * 1000
    assert abs(shown_until - (shown.stack.producer.job(shown.parked.id).until or 0)) < 5000
    page.set_viewport_size({"width": 1100, "height": 860})
    expect(page.get_by_text("parked: no_campaign until ")).to_be_in_viewport(ratio=1)  # what the picture is for
    picture(page, "flower-parked")


def test_broker_page_lists_all_queues_and_says_they_hold_no_jobs(page: Page) -> None:
    page.goto("/broker")
    rows = page.locator("#queue-table tbody tr")
    names = [f"gaugepost.{region}{ending}" for region in ("eu", "us", "au") for ending in (".urgent", "", ".ticks")]
    expect(rows).to_have_count(len(names))
    for name in names:
        cells = page.locator(f"tr[id='{name}'] td")
        assert cells.nth(0).inner_text() == name.split(".")[1]
        assert cells.nth(1).inner_text() == name
        assert ("ticks of beat" if name.endswith("ticks") else "bells") in cells.nth(2).inner_text()
        assert cells.nth(3).inner_text().isdigit()
    expect(page.locator("#no-jobs")).to_contain_text("Celery's messages, not jobs")
    page.set_viewport_size({"width": 1440, "height": 830})
    expect(rows.last).to_be_in_viewport(ratio=1)
    picture(page, "flower-broker")
    page.locator("#no-jobs a").click()
    expect(page).to_have_url(re.compile("/tasks$"))


def test_worker_page_shows_how_many_jobs_it_sends_at_a_time(shown: Shown, page: Page) -> None:
    for name in shown.names():
        page.goto(f"/worker/{name}")
        row = page.locator("#tab-pool tr", has_text=re.compile("max.concurrency", re.IGNORECASE))
        expect(row.locator("td").nth(1)).to_have_text("2")


def test_no_page_shows_personal_data_or_a_secret(shown: Shown, page: Page) -> None:
    secrets = [value for name, value in shown.stack.env.items() if name.startswith("GAUGEPOST_") and "_URL" not in name]
    secrets = [secret for secret in secrets if len(secret) > 5]
    assert "eu-secret" in secrets
    pages = dict(crawled(page))
    questions = ("/api/workers?refresh=1", "/api/tasks", "/api/task/types", "/api/queues/length", "/metrics")
    questions += ("/workers?json=1", *(f"/api/workers?workername={name}&refresh=1" for name in shown.names()))
    questions += (f"/api/task/info/{shown.delivered.id}", f"/api/task/info/{shown.dead.id}")
    for path in questions:
        answer = page.request.get(path)
        assert answer.ok, path
        pages[path] = answer.text()
    for path, text in pages.items():
        for word in (*PERSONAL, PASSWORD, USER["password"], *secrets):
            assert word not in text, path
    assert {f"/task/{shown.dead.id}", "/broker", *(f"/worker/{name}" for name in shown.names())} <= pages.keys()
    assert "redis://:**@" in pages["/broker"]


def crawled(page: Page) -> Iterator[tuple[str, str]]:
    """Visit every page that a user can click to, after the page has loaded its data."""
    seen, ahead = set(), ["/"]
    while ahead:
        path = ahead.pop()
        if path in seen:
            continue
        seen.add(path)
        page.goto(path, wait_until="networkidle")
        yield path, page.content()
        hrefs = page.locator("a[href^='/']").evaluate_all("all => all.map(a => decodeURIComponent(a.pathname))")
        ahead += [href for href in hrefs if href != "/logout"]


def every_path() -> list[str]:
    patterns = [getattr(handler, "regex", None) or handler[0] for handler in flower.urls.handlers]
    paths = [str(getattr(pattern, "pattern", pattern)).rstrip("$").replace("/?", "") for pattern in patterns]
    return [path.replace("(.+)", "x").replace("(.*)", "x") for path in paths if path.startswith("/")]


def test_without_a_login_nothing_is_shown_and_nothing_acts(shown: Shown) -> None:
    for credentials in (
        None,
        {"username": "operator", "password": "wrong"},
        {"username": "öps", "password": "pässwörd"},
    ):
        context = shown.browser.new_context(base_url=shown.url, http_credentials=credentials)
        for path in every_path():
            if path in {"/healthcheck", "/logout"} or path.startswith("/static"):
                continue
            assert context.request.get(path).status == 401, path
            assert context.request.post(path).status == 401, path
        assert context.request.get("/healthcheck").text() == "OK"
        context.close()


def test_logged_in_user_cannot_control_workers(shown: Shown, page: Page) -> None:
    [name] = [name for name in shown.names() if name.startswith("eu-")]
    page.goto(f"/worker/{name}", wait_until="networkidle")
    buttons = page.locator("button:not([role=tab]):not(#theme-toggle):not(.theme-option):not(.navbar-toggler)")
    assert buttons.all_text_contents() == []
    page.goto(f"/task/{shown.parked.id}")
    expect(page.locator("#task-revoke")).to_have_count(0)
    acts = [path.removesuffix("x") for path in every_path() if path.startswith("/api/") and path.endswith("/x")]
    assert len(acts) > 10
    for path in acts:
        for target in (name, shown.parked.id, "gaugepost.deliver"):
            order = page.request.post(path + target, data={"args": [], "workername": name, "terminate": True})
            assert order.status in {404, 405}, path
    assert [worker.poll() for worker in shown.workers] == [None, None, None]
    assert shown.parked.state() is JobState.PARKED
