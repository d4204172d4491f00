"""Check what the commands advise an operator: when there is nothing to do, and what to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gaugepost.transitions import Parked, Phase
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from conftest import Cli, EuWorker


def in_words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("transition", "verdict", "advice"),
    [
        (Parked(300_000, "no_campaign"), Verdict.NO_CAMPAIGN, "Sent again automatically. Dead after the last try"),
        (Parked(300_000, "unreachable"), Verdict.UNREACHABLE, "Sent again automatically, until"),
        (Parked(300_000, "processing", Phase.PROCESSING), Verdict.DELIVERED, "Nothing to do: a worker reads"),
    ],
)
def test_group_that_needs_no_person_says_so(
    cli: Cli, eu_worker: EuWorker, transition: Parked, verdict: Verdict, advice: str
) -> None:
    eu_worker.put()
    eu_worker.settle(transition, verdict)
    [row] = cli("jobs", "--group", "--json").rows
    assert row["to_do"].startswith(advice)
    assert row["to_do"] in in_words(cli("jobs", "--group").out)


def test_dead_group_is_never_called_nothing_to_do(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    eu_worker.bury()
    [row] = cli("jobs", "--group", "--json").rows
    assert row["to_do"] is None


def test_dry_run_prints_the_groups_without_commands(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    eu_worker.bury()
    call = ("replay", "--state", "dead", "--region", "eu", "--set", "record.Email=x@example.com", "--dry-run")
    printed = cli(*call).out
    assert "1  eu  record  dead: missing_field" in printed
    assert "gaugepost replay" not in printed


def again(eu_worker: EuWorker, *verdicts: Verdict) -> str:
    """Deliver a job after attempts with these verdicts."""
    job_id = eu_worker.put()
    for verdict in verdicts:
        eu_worker.settle(Parked(0, str(verdict)), verdict)
        eu_worker.ledger.promote()
    eu_worker.deliver()
    return job_id


def test_job_names_the_attempts_that_may_have_repeated_it(cli: Cli, eu_worker: EuWorker) -> None:
    once = again(eu_worker, Verdict.NO_CAMPAIGN, Verdict.UNREACHABLE)
    twice = again(eu_worker, Verdict.LOST_ANSWER, Verdict.UNREACHABLE, Verdict.SERVER_ERROR)
    assert "twice" not in cli("job", once).out
    assert "may be there twice attempts 1, 3 had no clear answer" in in_words(cli("job", twice).out)


def test_status_of_one_region(cli: Cli) -> None:
    rows: list[dict[str, Any]] = cli("status", "--region", "us", "--json").rows
    assert [row["region"] for row in rows] == ["us"]
    assert cli("status", "--region", "mars").code == 2
