"""The pages of uploads: send a file, see its plan, confirm it, follow it, and undo it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from gaugepost import Region
from gaugepost.ledger.users import Role
from gaugepost_ops.web.console.file_plans import MOST
from support.browser import chromium
from support.console import SAME, Person, add_user, changes, signed_in
from support.console_pages import sign_in
from support.gateway import GatewayProcess
from support.stack import Stack
from support.wait import wait_until

EVIL = "<script>alert(1)<!--.csv"
FORM = {"region": "eu", "family": "contact", "deliver_at": "", "batch": "", "source": ""}


def rows(number: int) -> bytes:
    return b"Email,Date\n" + b"".join(b"p%d@example.net,2026-01-01 10:00:00\n" % n for n in range(number))


def plan(person: Person, content: bytes, name: str = "people.csv", **form: str) -> Any:
    url, files = f"{person.url}/uploads/new", {"file": (name, content)}
    return person.http.post(url, data=FORM | form, files=files, headers=SAME, allow_redirects=False, timeout=60)


def token(text: str) -> str:
    return text.partition('action="/uploads/new/')[2].partition('"')[0]


def waiting(gateway: GatewayProcess) -> int:
    return int(gateway.producer.ledger(Region.EU).summary()["waiting"])


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("script", [True, False])
def test_operator_uploads_a_file_and_undoes_it(tmp_path: Path, *, script: bool) -> None:
    (tmp_path / "gateway").mkdir()
    with (
        Stack(tmp_path, regions="eu") as stack,
        GatewayProcess(tmp_path / "gateway", stack.redis.url, regions="eu") as gateway,
        chromium() as browser,
    ):
        add_user(gateway, role=Role.OPERATOR)
        page = sign_in(browser.new_context(base_url=gateway.url, java_script_enabled=script))
        page.get_by_role("link", name="Uploads").click()
        page.get_by_role("link", name="Upload a file").click()
        content = {"name": "people.csv", "mimeType": "text/csv", "buffer": rows(3)}
        page.locator("input[type=file]").set_input_files([content])
        page.get_by_label("Family").select_option("contact")
        page.get_by_role("button", name="Check the file").click()
        expect(page.get_by_text("3 rows in 1 part. Nothing is stored yet.")).to_be_visible()
        assert waiting(gateway) == 0
        page.get_by_role("button", name="Upload it").click()
        expect(page.get_by_role("heading", name="people.csv")).to_be_visible()
        set_id = page.url.rpartition("/")[2]
        stack.worker()
        wait_until(lambda: gateway.producer.uploads.view(set_id).uploads(), what=stack.undelivered)
        page.reload()
        page.get_by_role("link", name="Undo the upload").click()
        expect(page.get_by_text("They cannot be restored")).to_be_visible()
        page.get_by_role("button", name="Undo it").click()
        expect(page.get_by_text("by ann")).to_be_visible()
        expect(page.get_by_text("Nothing is left to cancel or to undo.")).to_be_visible()
        trail = changes(stack.producer.ledger(Region.EU))
        found = [(one.actor, one.action, str(one.outcome)) for one in trail if one.via == "console"]
        assert found == [("ann", "uploads undo", "done"), ("ann", "upload", "done")]


def drop(onto: Locator, *paths: Path) -> None:
    """Drop files by mouse, as the desktop does."""
    box, calls = onto.bounding_box(), onto.page.context.new_cdp_session(onto.page)
    assert box is not None
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        calls.send("Input.dispatchDragEvent", {"type": kind, "data": data} | place)


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("script", [True, False])
def test_file_is_dropped_by_mouse(gateway: GatewayProcess, ann: Person, tmp_path: Path, *, script: bool) -> None:
    assert ann.is_signed_in()
    paths = [tmp_path / name for name in ("people.csv", "others.csv")]
    for number, path in enumerate(paths):
        path.write_bytes(rows(3 + number))
    with chromium() as browser:
        page = sign_in(browser.new_context(base_url=gateway.url, java_script_enabled=script))
        page.goto("/uploads/new")
        field, heading = page.locator("input[type=file]"), page.get_by_role("heading", name="Upload a file")
        if script:
            drop(heading, *paths)
            expect(page.get_by_text("One file at a time: only people.csv is taken.")).to_be_visible()
            drop(heading, paths[1])
            expect(page.get_by_text("One file at a time")).to_have_count(0)
        else:
            drop(field, paths[1])
        page.get_by_label("Family").select_option("contact")
        page.get_by_role("button", name="Check the file").click()
        expect(page.get_by_role("heading", name="others.csv")).to_be_visible()
        expect(page.get_by_text("4 rows in 1 part. Nothing is stored yet.")).to_be_visible()
    assert waiting(gateway) == 0


def test_plan_stores_nothing_and_is_used_once(gateway: GatewayProcess, ann: Person) -> None:
    shown = plan(ann, rows(4_500), source="crm")
    assert (shown.status_code, waiting(gateway)) == (200, 0)
    assert "4,500 rows in 3 parts" in shown.text
    path = f"/uploads/new/{token(shown.text)}"
    made = ann.post(path).headers["Location"]
    assert made.startswith("/uploads/set-")
    assert waiting(gateway) == 3
    assert ann.post(path).status_code == 410
    text = ann.get(made).text
    assert "4,500 rows in 3 parts" in text
    assert "parts 1 to 3 of 3" in ann.get("/uploads").text
    assert (f"{made}/cancel" in text, f"{made}/undo" in text) == (True, False)
    assert ann.post(f"{made}/cancel", go="1").headers["Location"] == made
    assert waiting(gateway) == 0
    text = ann.get(made).text
    assert (f"{made}/cancel" in text, f"{made}/undo" in text) == (False, False)
    assert "Nothing is left to cancel or to undo." in text
    assert ann.post(f"{made}/undo", go="1").status_code == 409
    assert ann.post(f"{made}/rejects", rows="1").status_code == 404


def test_scheduled_file_is_behind_those_that_wait(ann: Person) -> None:
    for name, when in (("later.csv", "2h"), ("now.csv", "")):
        ann.post(f"/uploads/new/{token(plan(ann, rows(2 + len(when)), name, deliver_at=when).text)}")
    text = ann.get("/uploads?region=eu").text
    assert text.index("now.csv") < text.index("later.csv")
    assert text.index("</svg>scheduled<") < text.index("later.csv") < text.rindex("starts <time")


def test_lane_says_why_no_file_can_start(gateway: GatewayProcess, ann: Person) -> None:
    text = ann.get("/uploads?region=eu").text
    assert ("No worker runs" in text, "can start now" in text) == (True, False)
    gateway.producer.ledger(Region.EU).hold("", "maintenance", "bob")
    text = ann.get("/uploads?region=eu").text
    assert ("Held: maintenance" in text, "can start now" in text) == (True, False)


def test_file_that_is_refused_shows_the_form_again(gateway: GatewayProcess, ann: Person) -> None:
    for answer in (
        plan(ann, b"", "people.csv"),
        plan(ann, rows(2), "people.exe"),
        plan(ann, rows(2), region="mars"),
        plan(ann, rows(2), deliver_at="tomorrow"),
    ):
        assert answer.status_code == 422
        assert "Nothing was stored: " in answer.text
        assert "Check the file" in answer.text
    assert ann.post("/uploads/new", region="eu").status_code == 422
    assert waiting(gateway) == 0


def test_plan_is_for_the_person_who_sent_the_file(gateway: GatewayProcess, ann: Person) -> None:
    found = token(plan(ann, rows(2)).text)
    bob = signed_in(gateway, "bob", Role.OPERATOR)
    assert bob.post(f"/uploads/new/{found}").status_code == 410
    assert ann.post(f"/uploads/new/{found}").status_code == 303


def test_oldest_plan_gives_way_when_too_many_wait(ann: Person) -> None:
    first, *others = [token(plan(ann, rows(n)).text) for n in range(2, 3 + MOST)]
    assert ann.post(f"/uploads/new/{first}").status_code == 410
    assert ann.post(f"/uploads/new/{others[-1]}").status_code == 303


def test_file_name_with_a_script_is_shown_as_text(ann: Person) -> None:
    shown = plan(ann, rows(2), EVIL)
    made = ann.post(f"/uploads/new/{token(shown.text)}").headers["Location"]
    for text in (shown.text, ann.get(made).text, ann.get(f"{made}/undo").text, ann.get("/uploads").text):
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text


def test_viewer_sees_uploads_and_changes_none(gateway: GatewayProcess, ann: Person) -> None:
    made = ann.post(f"/uploads/new/{token(plan(ann, rows(2)).text)}").headers["Location"]
    vic = signed_in(gateway, "vic", Role.VIEWER)
    assert "people.csv" in vic.get("/uploads").text
    assert "Only operators" in vic.get(made).text
    assert plan(vic, rows(3)).status_code == 403
    for path in ("undo", "cancel", "rejects"):
        assert vic.post(f"{made}/{path}").status_code == 403
    assert waiting(gateway) == 1
