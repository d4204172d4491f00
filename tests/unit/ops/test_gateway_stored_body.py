"""The answer for one job, written by hand, is the JSON of its row."""

from __future__ import annotations

import pytest
from pydantic_core import to_json

from gaugepost.jobs import Record
from gaugepost.ledger import Accepted, Entry
from gaugepost.ledger.entry import new_job_id
from gaugepost.states import JobState
from gaugepost_ops.web.enqueue import row, stored_body

JOB = Record(region="eu", configuration="map", record={"Email": "joe@example.com"})


@pytest.mark.parametrize("warnings", [(), ('record.A"b: not in the mapping',)])
@pytest.mark.parametrize("duplicate", [False, True])
@pytest.mark.parametrize("state", JobState)
def test_stored_body_is_the_json_of_the_row(state: JobState, duplicate: bool, warnings: tuple[str, ...]) -> None:
    entry = Entry(new_job_id(), JOB, warnings=warnings)
    accepted = Accepted(entry.id, state, duplicate)
    assert stored_body(entry, accepted) == to_json(row(entry, accepted))
