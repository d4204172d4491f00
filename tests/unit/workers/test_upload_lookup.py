"""Which requests look a sent file up in the upload statistics, as their server sees them."""

from __future__ import annotations

import datetime as dt
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from gaugepost.ledger import Claimed
from gaugepost.ledger.history import read_history
from gaugepost_tasks.http import HttpClient
from gaugepost_tasks.http_messages import Endpoints
from gaugepost_workers.lease import Lease, lease_clock
from gaugepost_workers.upload_lookup import UploadLookup
from support.factories import file_set
from support.faulty_server import Server, ok

FOUND = {"event": "check", "at": 0, "status": 200, "found": True, "upload_id": 7}


def ms(day: int) -> int:
    return int(dt.datetime(2026, 11, day, 12, tzinfo=dt.UTC).timestamp() * 1000)


def sending(day: int) -> dict[str, object]:
    return {
        "event": "attempt",
        "n": 1,
        "at": ms(day),
        "ms": 5,
        "verdict": "lost_answer",
        "status": None,
        "counted": True,
    }


def queries(*entries: dict[str, object], answers: int = 1) -> list[dict[str, list[str]]]:
    """Look a file with this history up once; return the query of each request."""
    _, (entry,) = file_set(1)
    file = entry.job
    history = read_history("\n".join(map(json.dumps, entries)).encode())
    lease = Lease(Claimed("id", 1, 0, file, history), 60, lease_clock())
    with Server(*[ok(b'{"Data": []}')] * answers) as server:
        endpoints = Endpoints.of("eu", api_url=server.url.removesuffix("/path"))
        client = HttpClient(5, 5, 1)
        UploadLookup(client, endpoints, "key", (60.0,), record_number_base=2).find(lease, file)
        client.close()
    lines = [request.split(b"\r\n", 1)[0].split()[1].decode() for request in server.requests]
    return [parse_qs(urlsplit(line).query) for line in lines]


@pytest.mark.parametrize(("days", "first", "last"), [([20], 20, 21), ([18, 22], 18, 23), ([], None, None)])
def test_file_is_looked_up_on_all_days_of_its_attempts(days: list[int], first: int | None, last: int | None) -> None:
    [query] = queries(*map(sending, days))
    if first is not None:
        assert query["date_range_from"] == [f"2026-11-{first}"]
        assert query["date_range_to"] == [f"2026-11-{last}"]


def test_found_upload_is_looked_up_by_id_and_then_by_name() -> None:
    by_id, by_name = queries(sending(20), FOUND, answers=2)
    assert by_id == {"id": ["7"]}
    assert "date_range_from" in by_name


def test_upload_id_of_an_earlier_attempt_is_not_used() -> None:
    [query] = queries(sending(20), FOUND, sending(21))
    assert "id" not in query
