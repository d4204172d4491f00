from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from gaugepost_tasks import upload_statistics as statistics
from gaugepost_tasks.messages import Answer

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
    from gaugepost_tasks.messages import Endpoints

    MakeJob = Callable[..., AnyJob]
    MakeAnswer = Callable[..., Answer]


def test_the_call_asks_for_a_range_of_days_and_no_more_than_the_endpoint_gives(endpoints: Endpoints) -> None:
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


def test_a_file_is_found_by_its_name_and_the_newest_of_several_wins(answer: MakeAnswer) -> None:
    rows = [
        ROW | {"id": n, "source_filename": name} for n, name in ((3, "a"), (5, "b"), (9, "a"), (None, "a"), (4, "a"))
    ]
    uploads = statistics.read(answer(200, {"Data": [*rows, "junk"]}))
    assert statistics.find(uploads, "a").id == 9
    assert statistics.find(uploads, "c") is None


def test_junk_in_a_row_is_no_error(answer: MakeAnswer) -> None:
    (upload,) = statistics.read(answer(200, {"Data": [{"id": [], "status": 5, "logs": "x", "total_records": "many"}]}))
    assert (upload.id, upload.status, upload.total, upload.messages) == (None, "", None, ())


def test_an_answer_that_is_not_a_list_of_uploads_says_nothing(answer: MakeAnswer) -> None:
    said = [answer(200, {"Data": False}), answer(500, {"Data": []}), answer(200, b"<html/>"), answer(200, b"[]")]
    said += [Answer(None, failure="unreachable"), Answer(200, body=b'{"Data":[]}', truncated=True)]
    assert [statistics.read(one) for one in said] == [None] * 6
    assert statistics.read(answer(200, {"Data": []})) == ()
