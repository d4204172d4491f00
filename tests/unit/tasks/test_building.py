from __future__ import annotations

import email
import email.policy
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from gaugepost_tasks.endpoints.file import boundary_for
from gaugepost_tasks.endpoints.handlers import HANDLERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.jobs import AnyJob
    from gaugepost_tasks.http_messages import Endpoints, Request

    MakeJob = Callable[..., AnyJob]
    Build = Callable[..., Request]


@pytest.fixture
def build(endpoints: Endpoints) -> Build:
    return lambda job, content=None: HANDLERS[job.kind].build(job, endpoints, "job-1", content)


def test_a_record_is_put_as_json(build: Build, job: MakeJob) -> None:
    request = build(job("record", record={"Name": "Zoë", "NPS Score": "10", "Paid": True, "Gone": None}))
    assert (request.method, request.auth) == ("PUT", "bearer")
    assert request.url == "https://imports.api.eu.customergauge.com/records/"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == "job-1"
    assert json.loads(request.body)["record"] == {"Name": "Zoë", "NPS Score": "10", "Paid": True, "Gone": None}
    assert "Zoë".encode() in request.body


def test_the_documented_personal_link_request_comes_out_as_documented(build: Build, job: MakeJob) -> None:
    cells = {"Account Name": "ACME", "First Name": "Joe", "Last Name": "Doe", "Email": "joe.doe@example.com"}
    request = build(job("personal_link", record=cells))
    assert request.url.endswith("/personal-link/")
    assert json.loads(request.body) == {"configuration": "53505294-0b20-2509-b15d-c8e377701d66", "record": cells}


def test_the_documented_close_loop_request_comes_out_as_documented(build: Build, job: MakeJob) -> None:
    fields = {
        "number_customergauge": "53499",
        "status": "progress",
        "happened_at": "2023-07-31 08:50:15",
        "note": "Will get in touch about this",
        "assignee": "john.doe@company.com",
    }
    assert json.loads(build(job("close_loop", **fields)).body) == fields


def test_absent_fields_of_a_status_change_are_not_sent(build: Build, job: MakeJob) -> None:
    assert json.loads(build(job("close_loop", note=None)).body) == {
        "number_customergauge": "53499",
        "status": "progress",
    }


def test_the_documented_response_request_comes_out_as_documented(build: Build, job: MakeJob) -> None:
    fields = {"CustomerNumber": "1143", "Email": "lee_klameth@directness.net", "FirstName": "Lee"}
    request = build(job("response", fields=fields, reason_codes=[10000, 10020]))
    assert (request.method, request.auth) == ("POST", "api_key")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.body.endswith(b"&ReasonCode=10000,10020")
    assert parse_qs(request.body.decode()) == {name: [value] for name, value in fields.items()} | {
        "ReasonCode": ["10000,10020"]
    }


def test_form_has_y_and_n_and_no_unset_fields(build: Build, job: MakeJob) -> None:
    fields = {"A": True, "B": 2.5, "C": None}
    request = build(
        job(
            "response",
            fields=fields,
            net_promoter_score=0,
            comment="I & you = ü",
            follow_up_required=False,
            workflow_status=7,
            email_sent_date="2018-01-01 13:59:12",
        )
    )
    assert parse_qs(request.body.decode(), keep_blank_values=True) == {
        "A": ["Y"],
        "B": ["2.5"],
        "C": [""],
        "NetPromoterScore": ["0"],
        "Comment": ["I & you = ü"],
        "EmailSentDate": ["2018-01-01 13:59:12"],
        "FollowUpRequired": ["N"],
        "WorkflowStatus": ["7"],
    }


def test_a_file_goes_out_whole_as_one_part_named_file(build: Build, job: MakeJob) -> None:
    file = job("file", filename="Märzliste.csv")
    content = b"email\r\n--x\r\na@b.c\r\n\x00\xff"
    request = build(file, content)
    assert request.url.endswith("/v4.1/file/transactional.json")
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    (part,) = email.message_from_bytes(head + request.body, policy=email.policy.HTTP).get_payload()
    assert part.get_param("name", header="content-disposition") == "file"
    assert part.get_content_type() == "text/csv"
    assert part.get_payload(decode=True) == content
    assert f'filename="{file.upload_name}"'.encode() in request.body


def test_the_same_job_always_gives_the_same_bytes(build: Build, job: MakeJob) -> None:
    file = job("file")
    assert build(file, b"a").body == build(file, b"a").body
    assert build(file, b"a").body != build(file, b"b").body


def test_boundary_does_not_occur_in_the_content() -> None:
    first = boundary_for(b"", "digest")
    assert boundary_for(b"x" + first.encode(), "digest") not in {first, ""}


def test_a_file_without_its_content_is_an_error(build: Build, job: MakeJob) -> None:
    with pytest.raises(ValueError, match="content"):
        build(job("file"))


def test_an_upload_is_deleted_by_its_id_without_a_body(build: Build, job: MakeJob) -> None:
    request = build(job("file_delete"))
    assert (request.method, request.body) == ("DELETE", b"")
    assert request.url == "https://api.eu.customergauge.com/v4.1/file.json?id=12"


def test_no_request_has_an_authorization_header_before_the_last_moment(build: Build, job: MakeJob) -> None:
    for kind in HANDLERS:
        assert "authorization" not in {name.lower() for name in build(job(kind), b"x").headers}
