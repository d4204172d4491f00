"""The page of the audit trail: filters in the URL, older and newer pages, and texts that stay texts."""

from __future__ import annotations

import pytest

from gaugepost import Region
from gaugepost.ledger.audit import AuditEntry, Via
from support.console import Person
from support.gateway import GatewayProcess

EVIL = "<script>alert(1)</script>"


def write(gateway: GatewayProcess, number: int, **more: str) -> None:
    for n in range(number):
        region = (Region.EU, Region.US)[n % 2]
        entry = AuditEntry(more.get("actor", "bob"), more.get("action", "hold"), str(region), f"n{n:03}.", n, EVIL)
        gateway.producer.ledger(region).audit.write(entry)


def targets(text: str) -> list[str]:
    """Return the targets of `write` in a page."""
    return [part[:3] for part in text.split("</strong> n")[1:]]


def link(text: str, rel: str) -> str:
    found = [part.partition('"')[0] for part in text.split('<a href="') if f'rel="{rel}"' in part]
    return found[0].replace("&amp;", "&") if found else ""


def test_pages_go_to_the_oldest_entry_and_back(gateway: GatewayProcess, ann: Person) -> None:
    write(gateway, 130)
    path, pages = "/audit?actor=bob", list[str]()
    while path:
        pages.append(ann.get(path).text)
        path = link(pages[-1], "next")
    assert len(pages) == 3
    assert all(len(targets(page)) >= 50 for page in pages[:2])  # two regions may have an entry of one id
    assert len({one for page in pages for one in targets(page)}) == 130
    assert link(pages[0], "prev") == ""
    back = ann.get(link(pages[-1], "prev")).text
    assert targets(back) == targets(pages[1])
    assert targets(ann.get(link(back, "prev")).text) == targets(pages[0])


def test_filters_are_in_the_url_and_stay_in_the_form(gateway: GatewayProcess, ann: Person) -> None:
    write(gateway, 4)
    write(gateway, 2, actor="carl@host", action="uploads undo")
    assert len(targets(ann.get("/audit?actor=carl").text)) == 2
    assert len(targets(ann.get("/audit?action=uploads%20undo&region=eu").text)) == 1
    assert len(targets(ann.get("/audit?since=1h&actor=bob").text)) == 4
    text = ann.get("/audit?until=1h&actor=bob").text
    assert targets(text) == []
    assert "No entry matches" in text
    assert 'name="actor" value="bob"' in text
    assert 'name="until" value="1h"' in text


def test_entry_of_one_job_links_to_it(gateway: GatewayProcess, ann: Person) -> None:
    trail, job = gateway.producer.ledger(Region.EU).audit, "abcd" * 8
    for target in (job, f"set-{job}", f"{job} {job}", "x"):
        trail.write(AuditEntry("bob", "cancel", "eu", target, 1))
    text = ann.get("/audit?actor=bob").text
    assert [text.count(f'href="{path}"') for path in (f"/jobs/{job}", f"/uploads/set-{job}")] == [1, 1]
    assert text.count("1 job<") == 4


def test_wrong_time_is_refused_beside_the_form(gateway: GatewayProcess, ann: Person) -> None:
    write(gateway, 4)
    text = ann.get("/audit?since=tomorrow&actor=bob").text
    assert '<p class="error" role="alert">since: ' in text
    assert 'name="since" value="tomorrow"' in text
    assert 'name="actor" value="bob"' in text
    assert targets(text) == []


@pytest.mark.parametrize("query", ["since=tomorrow", "cursor=x", "cursor=1-99999999999999999999", "region=mars"])
def test_wrong_query_is_refused_in_words(ann: Person, query: str) -> None:
    answer = ann.get(f"/audit?{query}")
    assert answer.status_code == 400
    assert "expected" in answer.text


def test_stored_and_given_scripts_are_shown_as_text(gateway: GatewayProcess, ann: Person) -> None:
    entry = AuditEntry(EVIL, EVIL, "eu", f'{EVIL}"onclick=', 1, EVIL, Via.CLI, error=EVIL)
    gateway.producer.ledger(Region.EU).audit.write(entry)
    for path in ("/audit", "/audit?actor=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&newer=%22%3E%3Cscript%3E&cursor=9-9"):
        text = ann.get(path).text
        assert "<script>alert" not in text
        assert '"onclick' not in text
