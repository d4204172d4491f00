"""Check what a personal link does not take: another spelling of a heading, a number for a flag."""

from __future__ import annotations

from typing import Any

import pytest

from gaugepost.errors import InvalidJob
from gaugepost.jobs import parse_job

LINK = {"kind": "personal_link", "region": "eu", "configuration": "5350"}


def problems(record: dict[str, Any], **more: Any) -> dict[str, str]:
    with pytest.raises(InvalidJob) as refusal:
        parse_job(LINK | {"record": record} | more)
    return {problem.field: problem.expected for problem in refusal.value.problems}


@pytest.mark.parametrize("heading", ["email", "EMAIL", "phone"])
def test_heading_of_a_recipient_is_case_sensitive(heading: str) -> None:
    said = f"record: expected the field Email or Phone: {heading} is another field"
    assert problems({heading: "123"}) == {"": said}


@pytest.mark.parametrize("value", [0, 1, 0.0, 2])
def test_number_is_no_flag(value: float) -> None:
    said = {"urgent": "expected true or false"}
    assert problems({"Email": "a"}, urgent=value) == said
    assert parse_job(LINK | {"record": {"Email": "a"}, "urgent": False}).urgent is False
