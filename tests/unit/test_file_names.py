"""Check file names, which reach a folder and a form header: they can change neither path nor header."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gaugepost import InvalidJob
from gaugepost.jobs import File, parse_job

CSV = base64.b64encode(b"Email\na@b.example\n").decode()


def parsed(**more: Any) -> File:
    job = parse_job({"kind": "file", "region": "eu", "family": "contact", "content_base64": CSV} | more)
    assert isinstance(job, File)
    return job


@pytest.mark.parametrize(
    "name",
    [
        "../a.csv",
        "/etc/a.csv",
        "a\\b.csv",
        'a".csv',
        "a\r\nX-Forged: 1.csv",
        "a\0.csv",
        "a\x7f.csv",
        "漢" * 120 + ".csv",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_by_its_field(name: str) -> None:
    with pytest.raises(InvalidJob, match=r"^filename: "):
        parsed(filename=name)


@pytest.mark.parametrize(
    "name", ["..csv", "a\u202ecsv.csv", "a\u2028b.csv", "-rf.csv", "%0d%0a.csv", "a;b.csv", "é.csv", "~x.csv"]
)
def test_sent_file_name_is_plain(name: str) -> None:
    job, _ = parsed(filename=name).load()
    assert job.stored is not None
    assert set(job.upload_name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@pytest.mark.parametrize("name", ['a.csv"\r\nX-Forged: 1', "a\nb.csv", "../a.csv", "a" * 256])
def test_a_stored_name_that_was_tampered_with_is_not_read(name: str) -> None:
    job, _ = parsed(filename="a.csv").load()
    fields = job.model_dump(mode="json", exclude_none=True)
    fields["stored"]["name"] = name
    with pytest.raises(InvalidJob, match=r"stored\.name: "):
        parse_job(fields)
