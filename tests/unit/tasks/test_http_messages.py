from __future__ import annotations

from gaugepost_tasks.http_messages import Answer, Endpoints, Request, common_headers, credential_header


def test_each_region_has_the_hosts_the_documentation_shows() -> None:
    us = Endpoints.of("us")
    assert us.token == "https://auth.us.customergauge.com/oauth2/token"
    assert us.records == "https://imports.api.us.customergauge.com/records/"
    assert us.personal_link == "https://imports.api.us.customergauge.com/personal-link/"
    assert us.close_loop == "https://api.us.customergauge.com/v7/rest/close-loop/status"
    assert us.response == "https://api.us.customergauge.com/v4.1/transactions/response.json"
    assert us.file("contact") == "https://api.us.customergauge.com/v4.1/file/contact.json"
    assert us.file_delete(12) == "https://api.us.customergauge.com/v4.1/file.json?id=12"


def test_templates_may_carry_a_path_and_a_slash_at_their_end() -> None:
    local = Endpoints.of(
        "au", api_url="http://127.0.0.1:9/api/{region}/", imports_url="http://h/x", auth_url="http://h//"
    )
    assert local.close_loop == "http://127.0.0.1:9/api/au/v7/rest/close-loop/status"
    assert local.records == "http://h/x/records/"
    assert local.token == "http://h/oauth2/token"


def test_path_of_one_file_family_can_be_overridden() -> None:
    overridden = Endpoints.of("eu", file_paths={"activity": "v4.1/file/anonymous.json"})
    assert overridden.file("activity") == "https://api.eu.customergauge.com/v4.1/file/anonymous.json"
    assert overridden.file("historical").endswith("/v4.1/file/historical.json")


def test_credentials_are_written_as_their_endpoints_want_them() -> None:
    assert credential_header("bearer", "t") == "Bearer t"
    assert credential_header("api_key", "XXXXX") == "api_key XXXXX"
    assert credential_header("none", "t") == ""


def test_every_request_carries_the_jobs_id_as_its_idempotency_key() -> None:
    assert common_headers("j1") == {"Accept": "application/json", "Idempotency-Key": "j1"}
    assert common_headers("j1", "text/csv")["Content-Type"] == "text/csv"


def test_neither_bodies_nor_headers_are_shown() -> None:
    shown = repr(Request("PUT", "http://h/", {"X": "secret"}, b"secret", "bearer"))
    shown += repr(Answer(200, {"set-cookie": "secret"}, b"secret"))
    assert "secret" not in shown


def test_an_answer_is_ok_only_with_a_status_of_success() -> None:
    assert [Answer(status).ok for status in (None, 199, 200, 299, 300)] == [False, False, True, True, False]
