"""`gaugepost jobs --group`: stuck jobs by cause, each with the command that helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost.transitions import Unknown
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from conftest import Cli, EuWorker


@pytest.fixture
def stuck(eu_worker: EuWorker) -> dict[str, str]:
    """Make four groups of stuck jobs; return the ids of two of them."""
    for _ in range(3):
        eu_worker.put(configuration="a-map")
    eu_worker.bury_all("record.NPS Score", "record.Email")
    eu_worker.put()
    dead = eu_worker.bury_all()[0]
    eu_worker.put(configuration="gone")
    eu_worker.hold_all("gone")
    eu_worker.put(configuration="gone")  # the hold parks it without an attempt
    lost = eu_worker.case()
    eu_worker.end_all(Unknown("answer lost"), Verdict.LOST_ANSWER)
    return {"dead": dead, "lost": lost}


SETTLE = "gaugepost settle --state unknown --region eu --kind close_loop --verdict lost_answer --as DELIVERED-OR-DEAD"


def test_stuck_jobs_are_grouped_by_cause_with_their_command(cli: Cli, stuck: dict[str, str]) -> None:
    rows = cli("jobs", "--group", "--json").rows
    assert [row["count"] for row in rows] == [3, 2, 1, 1]
    groups = {(row["state"], row["count"]): row for row in rows}
    mapped = groups["dead", 3]
    assert (mapped["region"], mapped["verdict"], mapped["configuration"]) == ("eu", "missing_field", "a-map")
    assert (mapped["fields"], mapped["look"]) == (["record.Email", "record.NPS Score"], None)
    assert mapped["command"] == (
        "gaugepost replay --state dead --region eu --kind record --verdict missing_field"
        " --configuration a-map --field record.Email --field 'record.NPS Score'"
    )
    assert groups["dead", 1]["example"] == stuck["dead"]
    assert groups["parked", 2]["command"] == "gaugepost resume eu --configuration gone"
    assert (groups["unknown", 1]["look"], groups["unknown", 1]["command"]) == (f"gaugepost job {stuck['lost']}", SETTLE)
    assert cli(*SETTLE.split()[1:]).code == 2
    assert cli("jobs", "--group", "--limit", "1", "--json").rows == rows[:1]


def test_groups_of_unknown_jobs_say_what_to_look_at_first(cli: Cli, stuck: dict[str, str]) -> None:
    lost = stuck["lost"]
    assert f"Look whether CustomerGauge has it, then: gaugepost settle {lost} --as delivered" in cli("job", lost).out
    lines = [line.strip() for line in cli("jobs", "--group", "--state", "unknown").out.splitlines()]
    assert lines[2:] == [
        "first look whether CustomerGauge has the job, then settle the group as what you found:",
        f"gaugepost job {lost}",
        SETTLE,
    ]


@pytest.mark.usefixtures("stuck")
def test_groups_of_one_state_leave_out_the_others(cli: Cli, eu_worker: EuWorker) -> None:
    printed = cli("jobs", "--group", "--state", "dead").out
    assert "3  eu  record  dead: missing_field (record.Email, record.NPS Score)" in printed
    assert "resume" not in printed
    eu_worker.put()
    assert "1  eu  record  queued\n" in cli("jobs", "--group", "--state", "queued").out


def test_jobs_can_be_chosen_by_the_fields_that_were_wrong(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    [one] = eu_worker.bury_all("record.Email", "record.Phone")
    eu_worker.put()
    eu_worker.bury_all("record.Phone")
    rows = cli("jobs", "--json", "--field", "record.Email", "--field", "record.Phone").rows
    assert [row["id"] for row in rows] == [one]
