"""The console's pages about jobs: stuck, search and list, one job, and what an operator may do with it."""

from __future__ import annotations

import re
from html import unescape

import pytest

from gaugepost import CloseLoop, Region
from gaugepost.ledger.users import Role
from gaugepost.verdict import Verdict
from support.console import Person, changes, signed_in
from support.console_jobs import SCRIPT, deliver, die, lose, put, put_link, stuck
from support.gateway import GatewayProcess
from support.wait import wait_until
from support.worker_ledger import worker_ledger


@pytest.fixture
def victor(gateway: GatewayProcess) -> Person:
    return signed_in(gateway, "victor", Role.VIEWER)


def state(gateway: GatewayProcess, job_id: str) -> str:
    [view] = gateway.producer.ledger(Region.EU).read([job_id])
    assert view is not None
    return str(view.state)


def ids_in(html: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r'href="/jobs/([0-9a-f]{32})"', html)))


def test_stuck_has_each_cause_with_its_count_and_example(gateway: GatewayProcess, ann: Person) -> None:
    die(gateway.producer, 7)
    [newest] = die(gateway.producer, 1, Verdict.MISSING_FIELD, fields=("Country",))
    lost = lose(gateway.producer)
    gateway.producer.ledger(Region.EU).hold("", "maintenance", "bob")
    html = stuck(ann, newest, lost, "maintenance")
    assert {newest, lost} <= set(ids_in(html))
    assert re.search(r'count">7 jobs<', html)
    assert "the whole region is held: maintenance" in html
    assert "/jobs/bulk?state=dead&amp;region=eu&amp;kind=record&amp;verdict=invalid_value" in html


def test_viewer_sees_causes_without_actions(gateway: GatewayProcess, victor: Person) -> None:
    die(gateway.producer)
    html = stuck(victor, "invalid value")
    assert "/jobs/bulk" not in html


def test_stuck_notices_that_a_job_died_of_another_cause(gateway: GatewayProcess, ann: Person) -> None:
    [job_id] = die(gateway.producer)
    stuck(ann, "invalid value")
    gateway.producer.ledger(Region.EU).cancel([job_id])
    gateway.producer.ledger(Region.EU).replay([job_id])
    die(gateway.producer, 0, Verdict.MISSING_FIELD)
    codes = ("invalid value", "invalid_value")
    wait_until(lambda: not any(code in stuck(ann, "missing field") for code in codes), what="the old cause is gone")


@pytest.mark.parametrize(
    "query", ["q=joe@example.com", "q=email:joe@example.com", "email=joe@example.com", "q=label:vip+region:eu"]
)
def test_search_finds_jobs_by_words_and_qualifiers(gateway: GatewayProcess, ann: Person, query: str) -> None:
    wanted = put_link(gateway.producer, labels=["vip"])
    put_link(gateway.producer, email="other@example.com")
    assert ids_in(ann.get(f"/jobs?{query}").text) == [wanted]


def test_list_goes_to_older_jobs_and_back(gateway: GatewayProcess, ann: Person) -> None:
    died = die(gateway.producer, 120)
    pages, path = [], "/jobs?state=dead&region=eu"
    first = path
    while path:
        html = ann.get(path).text
        pages.append(ids_in(html))
        link = re.search(r'rel="next" href="([^"]+)"', html)
        back = re.search(r'rel="prev" href="([^"]+)"', html)
        path = link[1].replace("&amp;", "&") if link else ""
    assert sorted(one for page in pages for one in page) == sorted(died)
    assert [len(page) for page in pages] == [50, 50, 20]
    assert back is not None
    assert ids_in(ann.get(back[1].replace("&amp;", "&")).text) == pages[1]
    assert ids_in(ann.get(first).text) == pages[0]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("state=nothing", "There is no state “nothing”. Choose one of: queued, "),
        ("q=region:mars", "There is no region “mars”. Choose one of: eu, "),
        ("verdict=x", "There is no verdict “x”. Choose one of: delivered, "),
        ("since=yesterday-ish", "since: expected "),
        ("kind=y", "There is no kind “y”. Choose one of: "),
    ],
)
def test_wrong_condition_is_explained(ann: Person, query: str, why: str) -> None:
    answer = ann.get(f"/jobs?{query}")
    assert answer.status_code == 422
    assert why in unescape(answer.text)


def test_wrong_condition_stays_in_the_form(ann: Person) -> None:
    html = ann.get("/jobs?state=nothing&kind=record&source=crm").text
    assert 'value="state:nothing source:crm"' in html
    assert re.search(r"<option selected[^>]*>record<", html)
    assert '<a href="/jobs">Clear</a>' in html
    assert 'type="hidden"' not in html


def test_list_without_a_region_asks_for_one(gateway: GatewayProcess, ann: Person) -> None:
    die(gateway.producer)
    assert "Choose a region to send these jobs again." in ann.get("/jobs?state=dead").text
    assert "Choose a region" not in ann.get("/jobs?state=dead&region=eu").text


def test_job_page_says_why_and_what_helps(gateway: GatewayProcess, ann: Person) -> None:
    [job_id] = die(gateway.producer, message="The Email is wrong")
    html = ann.get(f"/jobs/{job_id}").text
    assert "It died: invalid value (The Email is wrong)." in html
    assert "The way of the job: queued, then sending, then dead" in html
    assert "joe@example.com" not in html


def test_job_page_shows_its_lane(gateway: GatewayProcess, ann: Person) -> None:
    ids = [
        gateway.producer.enqueue(CloseLoop(region="eu", number_customergauge=1, status=status)).id
        for status in ("open", "progress", "closed")
    ]
    html = ann.get(f"/jobs/{ids[1]}").text
    assert html.index("Before it") < html.index(ids[0]) < html.index("After it") < html.index(ids[2])


@pytest.mark.parametrize("path", ["/jobs/0", "/jobs/" + "0" * 32, "/operations/op-000000000000", "/jobs/%0d%0aX:1"])
def test_unknown_job_or_operation_is_not_found(ann: Person, path: str) -> None:
    assert ann.get(path).status_code == 404


def test_operator_replays_with_a_reason(gateway: GatewayProcess, ann: Person) -> None:
    [job_id] = die(gateway.producer)
    assert ann.post(f"/jobs/{job_id}/replay", reason=" ").status_code == 422
    assert state(gateway, job_id) == "dead"
    assert ann.post(f"/jobs/{job_id}/replay", reason="mapping corrected").status_code == 303
    assert state(gateway, job_id) == "queued"
    [entry, *_] = changes(gateway.producer.ledger(Region.EU))
    assert (entry.actor, entry.action, entry.target, entry.reason) == ("ann", "replay", job_id, "mapping corrected")
    assert ann.post(f"/jobs/{job_id}/replay", reason="again").status_code == 409


def test_operator_cancels_and_settles(gateway: GatewayProcess, ann: Person) -> None:
    lost = lose(gateway.producer)
    assert ann.post(f"/jobs/{lost}/settle", reason="it is there").status_code == 422
    assert ann.post(f"/jobs/{lost}/settle", **{"reason": "it is there", "as": "delivered"}).status_code == 303
    assert state(gateway, lost) == "delivered"
    [waits] = put(gateway.producer)
    assert ann.post(f"/jobs/{waits}/cancel", reason="not wanted").status_code == 303
    assert state(gateway, waits) == "cancelled"
    assert ann.post(f"/jobs/{deliver(gateway.producer)}/cancel", reason="x").status_code == 409


def test_viewer_changes_nothing_by_hand(gateway: GatewayProcess, victor: Person) -> None:
    [job_id] = die(gateway.producer)
    lost = lose(gateway.producer)
    for path in (f"/jobs/{job_id}/replay", f"/jobs/{lost}/settle", f"/jobs/{job_id}/cancel", f"/jobs/{job_id}/data"):
        assert victor.post(path, **{"reason": "x", "as": "dead"}).status_code == 403
    assert victor.post("/jobs/bulk", action="replay", state="dead", region="eu", reason="x").status_code == 403
    assert victor.get("/jobs/bulk?action=replay&state=dead&region=eu").status_code == 403
    assert [state(gateway, one) for one in (job_id, lost)] == ["dead", "unknown"]
    assert "Only an operator may change this job" in victor.get(f"/jobs/{job_id}").text


def test_data_is_shown_on_request_and_recorded(gateway: GatewayProcess, ann: Person) -> None:
    [job_id] = put(gateway.producer)
    html = ann.post(f"/jobs/{job_id}/data", reason="Joe asked").text
    assert "joe@example.com" in html
    [entry, *_] = changes(gateway.producer.ledger(Region.EU))
    assert (entry.actor, entry.action, entry.target, entry.count) == ("ann", "job --show-data", job_id, 1)


def test_stored_script_shows_as_text_on_every_page(gateway: GatewayProcess, ann: Person) -> None:
    texts = {"source": "crm", "labels": [SCRIPT], "idempotency_key": SCRIPT, "batch": "b"}
    data = {"record": {"Email": SCRIPT, SCRIPT: SCRIPT}}
    [job_id] = die(gateway.producer, message=SCRIPT, fields=(SCRIPT,), **data, **texts)
    gateway.producer.ledger(Region.EU).hold("configuration:" + SCRIPT, SCRIPT, SCRIPT)
    pages = [
        stuck(ann, "invalid value"),
        ann.get("/jobs?state=dead").text,
        ann.get("/jobs").text,
        ann.get(f"/jobs?q={SCRIPT}").text,
        ann.get(f"/jobs?source={SCRIPT}&state=%3Cscript%3E").text,
        ann.get(f"/jobs/{job_id}").text,
        ann.post(f"/jobs/{job_id}/data", reason=SCRIPT).text,
        ann.get(f"/jobs/bulk?action=replay&state=dead&region=eu&label={SCRIPT}").text,
    ]
    started = ann.post("/jobs/bulk", action="replay", state="dead", region="eu", reason=SCRIPT, source="crm")
    pages.append(ann.get(started.headers["Location"]).text)
    for html in pages:
        assert "<script>alert" not in html
    assert sum("&lt;script&gt;alert" in html for html in pages) >= 5


@pytest.mark.parametrize("query", ["", "state=dead", "region=eu", "region=eu&q=joe", "region=eu&id=00000000"])
def test_empty_filter_is_refused(gateway: GatewayProcess, ann: Person, query: str) -> None:
    [job_id] = die(gateway.producer)
    assert ann.get(f"/jobs/bulk?action=replay&{query}").status_code == 422
    given = dict(pair.split("=") for pair in query.split("&") if pair)
    assert ann.post("/jobs/bulk", action="replay", reason="x", **given).status_code == 422
    assert state(gateway, job_id) == "dead"
    assert gateway.producer.ledger(Region.EU).operations.list() == []


def test_bulk_shows_groups_then_starts_an_operation_that_can_be_aborted(gateway: GatewayProcess, ann: Person) -> None:
    die(gateway.producer, 12)
    die(gateway.producer, 3, Verdict.MISSING_FIELD)
    path = "/jobs/bulk?action=replay&state=dead&region=eu&verdict=invalid_value"
    html = ann.get(path).text
    assert re.search(r'number" data-label="Jobs">12<', html)
    assert "invalid value" in html
    assert "missing field" not in html
    fields = {"action": "replay", "state": "dead", "region": "eu", "verdict": "invalid_value"}
    assert ann.post("/jobs/bulk", **fields).status_code == 422
    where = ann.post("/jobs/bulk", reason="mapping corrected", **fields).headers["Location"]
    assert "mapping corrected" in ann.get(where).text
    assert ann.post(f"{where}/pause").status_code == 303
    assert "Resume" in ann.get(where).text
    assert ann.post(f"{where}/abort").status_code == 303
    assert ann.post(f"{where}/resume").status_code == 409
    actions = [(entry.actor, entry.action) for entry in changes(gateway.producer.ledger(Region.EU))]
    expected = ("operations resume", "operations abort", "operations pause", "replay")
    assert actions == [("ann", one) for one in expected]


def test_events_say_that_the_job_changed(gateway: GatewayProcess, ann: Person) -> None:
    [job_id] = put(gateway.producer)
    with ann.http.get(f"{ann.url}/jobs/{job_id}/events", stream=True, timeout=30) as stream:
        lines = stream.iter_lines(decode_unicode=True)
        assert next(lines) == "retry: 1000"
        assert next(line for line in lines if line) == "event: changed", "perhaps before the stream began"
        gateway.producer.ledger(Region.EU).cancel([job_id])
        assert [next(line for line in lines if line.startswith("event")) for _ in range(2)] == [
            "event: changed",
            "event: ended",
        ]


def test_page_of_an_unchanged_job_is_not_sent_again(gateway: GatewayProcess, ann: Person) -> None:
    [job_id] = put(gateway.producer)
    tag = ann.get(f"/jobs/{job_id}").headers["ETag"]
    assert ann.get(f"/jobs/{job_id}", If_None_Match=tag).status_code == 304
    gateway.producer.ledger(Region.EU).cancel([job_id])
    assert ann.get(f"/jobs/{job_id}", If_None_Match=tag).status_code == 200


def test_history_has_charts_and_the_same_as_a_table(gateway: GatewayProcess, ann: Person) -> None:
    assert "Nothing is recorded" in ann.get("/history").text
    deliver(gateway.producer)
    worker_ledger(gateway.producer).sweep()
    html = ann.get("/history").text
    assert 'role="img" aria-label="' in html
    assert "<caption" in html


def test_first_digits_of_an_id_lead_to_its_job(gateway: GatewayProcess, ann: Person) -> None:
    [job_id] = put(gateway.producer)
    found = ann.get(f"/jobs/{job_id[:12]}")
    assert (found.status_code, found.headers["Location"]) == (303, f"/jobs?q=id:{job_id[:12]}")
    assert f'href="/jobs/{job_id}"' in ann.get(found.headers["Location"]).text


def test_search_for_an_unknown_field_asks_whether_it_is_one(ann: Person) -> None:
    assert "Is “emial” the name of a field?" in ann.get("/jobs?q=emial:joe@example.com").text
    assert "the name of a field?" not in ann.get("/jobs?q=email:joe@example.com").text
