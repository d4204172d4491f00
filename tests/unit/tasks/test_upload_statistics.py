from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from gaugepost_tasks.endpoints import upload_statistics as statistics
from gaugepost_tasks.http_messages import Answer

ROW = {
    "id": "1",
    "status": "Processed",
    "source_filename": "example_file.csv",
    "date_upload": "2018-10-13 11:56:48",
    "total_records": "100",
    "successful_records": "98",
    "unsuccessful_records": "2",
    "logs": ["Record 2: Duplicate Record", "Record 3: Last Name is required but seems to be .."],
}

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.jobs import AnyJob
    from gaugepost_tasks.http_messages import Endpoints

    MakeJob = Callable[..., AnyJob]
    MakeAnswer = Callable[..., Answer]


def test_request_has_range_of_days_and_limit(endpoints: Endpoints) -> None:
    day = dt.date(2026, 11, 21)
    request = statistics.build(endpoints, "contact", "j", since=day, until=day, start=10, limit=5000)
    url = urlsplit(request.url)
    assert (request.method, request.body, request.auth) == ("GET", b"", "api_key")
    assert url.path == "/v4.1/file/contact.json"
    assert parse_qs(url.query) == {
        "date_range_from": ["2026-11-21"],
        "date_range_to": ["2026-11-21"],
        "start": ["10"],
        "limit": ["1000"],
    }


def test_the_documented_row_is_read_with_its_counts_as_numbers(answer: MakeAnswer, job: MakeJob) -> None:
    (upload,) = statistics.read(answer(200, {"Data": [ROW]}))
    assert (upload.id, upload.processed) == (1, True)
    assert upload.result() == {
        "total": 100,
        "successful": 98,
        "unsuccessful": 2,
        "messages": ("Record 2: Duplicate Record", "Record 3: Last Name is required but seems to be .."),
    }
    assert job("file").read_result(upload.result()).successful == 98


def test_rows_in_xml_are_read_alike(answer: MakeAnswer) -> None:
    body = b"<Data><item><id>7</id><source_filename>a.csv</source_filename><status>Waiting</status></item></Data>"
    (upload,) = statistics.read(answer(200, body))
    assert (upload.id, upload.source_filename, upload.processed, upload.total) == (7, "a.csv", False, None)


def test_newest_upload_of_a_name_is_found(answer: MakeAnswer) -> None:
    rows = [
        ROW | {"id": n, "source_filename": name} for n, name in ((3, "a"), (5, "b"), (9, "a"), (None, "a"), (4, "a"))
    ]
    uploads = statistics.read(answer(200, {"Data": [*rows, "junk"]}))
    assert len(uploads) == 6, "each row counts: it has a place on a page"
    assert statistics.find(uploads, "a").id == 9
    assert statistics.find(uploads, "c") is None


def test_junk_in_a_row_is_no_error(answer: MakeAnswer) -> None:
    (upload,) = statistics.read(answer(200, {"Data": [{"id": [], "status": 5, "logs": "x", "total_records": "many"}]}))
    assert (upload.id, upload.status, upload.total, upload.messages) == (None, "", None, ())


def test_answer_without_list_of_uploads_is_none(answer: MakeAnswer) -> None:
    answers = [answer(200, {"Data": False}), answer(500, {"Data": []}), answer(200, b"<html/>"), answer(200, b"[]")]
    answers += [Answer(None, failure="unreachable"), Answer(200, body=b'{"Data":[]}', truncated=True)]
    assert [statistics.read(one) for one in answers] == [None] * 6
    assert statistics.read(answer(200, {"Data": []})) == ()


# Page by page


MOST = 80_000


class Listing:
    """Statistics with rows of these sizes in bytes. An answer is cut at `MOST` bytes."""

    def __init__(self, sizes: list[int]) -> None:
        self._rows = [self._row(n, size) for n, size in enumerate(sizes)]
        self.asked: list[tuple[int, int]] = []
        self.fails_from: int | None = None

    def _row(self, n: int, size: int) -> bytes:
        row = ROW | {"id": str(n), "source_filename": f"file-{n}.csv", "logs": ["x" * size]}
        return json.dumps(row).encode()

    def __call__(self, start: int, rows: int) -> Answer:
        self.asked.append((start, rows))
        if self.fails_from is not None and start >= self.fails_from:
            return Answer(503)
        body = b'{"Data": [' + b",".join(self._rows[start : start + rows]) + b"]}"
        return Answer(200, body=body[:MOST], truncated=len(body) > MOST)


def test_search_stops_at_the_page_with_the_upload() -> None:
    listing = Listing([10] * 350)
    found = statistics.search_pages(listing, "file-150.csv")
    assert (found.complete, found.status, found.upload_id) == (True, 200, 150)
    assert listing.asked == [(0, 100), (100, 100)]


@pytest.mark.parametrize(("many", "pages"), [(0, 1), (99, 1), (100, 2), (250, 3), (2000, 21)])
def test_upload_on_no_page_is_not_found(many: int, pages: int) -> None:
    listing = Listing([10] * many)
    assert statistics.search_pages(listing, "other.csv") == statistics.Found(None, complete=True, status=200)
    assert len(listing.asked) == pages


def test_too_large_answer_leads_to_smaller_pages() -> None:
    listing = Listing([4_000] * 60)
    assert statistics.search_pages(listing, "file-40.csv").upload_id == 40
    assert listing.asked == [(0, 100), (0, 25), (0, 6), *((start, 6) for start in range(6, 42, 6))]


def test_single_too_large_upload_is_skipped() -> None:
    listing = Listing([10, 90_000, 10])
    assert statistics.search_pages(listing, "file-2.csv").upload_id == 2
    assert not statistics.search_pages(listing, "file-1.csv").complete


def test_answer_that_says_nothing_ends_the_look() -> None:
    listing = Listing([10] * 350)
    listing.fails_from = 100
    assert statistics.search_pages(listing, "file-150.csv") == statistics.Found(None, complete=False, status=503)
    assert statistics.search_pages(listing, "file-50.csv").upload_id == 50


def test_upload_beyond_a_thousand_others_is_found() -> None:
    assert statistics.search_pages(Listing([10] * 1500), "file-1400.csv").upload_id == 1400


def test_incomplete_lookup_does_not_report_absent() -> None:
    listing = Listing([10] * 5100)
    assert statistics.search_pages(listing, "other.csv") == statistics.Found(None, complete=False, status=200)
    assert len(listing.asked) == 50


def test_lookup_ends_after_50_pages() -> None:
    listing = Listing([90_000] * 60)
    assert not statistics.search_pages(listing, "file-59.csv").complete
    assert len(listing.asked) == 50


def test_known_upload_is_asked_for_by_its_id(endpoints: Endpoints, answer: MakeAnswer) -> None:
    request = statistics.build_by_id(endpoints, "contact", "j", 12)
    assert urlsplit(request.url).query == "id=12"
    listed = answer(200, {"Data": [ROW]})
    assert statistics.find_in_answer(listed, "example_file.csv").upload_id == 1
    assert not statistics.find_in_answer(listed, "other.csv").complete
    assert not statistics.find_in_answer(Answer(503), "other.csv").complete


@pytest.mark.parametrize(
    ("hour", "first", "last"), [(0, 20, 21), (6, 20, 21), (8, 20, 21), (9, 20, 22), (12, 21, 22), (23, 21, 22)]
)
def test_days_are_those_of_all_time_zones(hour: int, first: int, last: int) -> None:
    sent = dt.datetime(2026, 11, 21, hour, tzinfo=dt.UTC)
    assert statistics.search_days(sent, sent) == (dt.date(2026, 11, first), dt.date(2026, 11, last))


def test_days_reach_from_the_first_sending_to_the_last() -> None:
    first, last = dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC), dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
    assert statistics.search_days(first, last) == (dt.date(2026, 11, 18), dt.date(2026, 11, 23))
