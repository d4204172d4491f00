"""Logs changes in the ledger: holds that open, whose probe fails or that are lifted, and jobs that become dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from gaugepost.ledger.explanations import action, failed_probes, meaning, opened_by
from gaugepost.ledger.holds import iso
from gaugepost.ledger.notices import Death
from gaugepost.transitions import Dead

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gaugepost.ledger import Settlement
    from gaugepost.ledger.holds import Hold
    from gaugepost.ledger.notices import Notice
    from gaugepost.regions import Region

log = structlog.get_logger("gaugepost.ledger")


def log_deaths(settlements: Iterable[Settlement]) -> None:
    """Log those of the settled jobs that are dead, with verdict and last status."""
    for settlement in settlements:
        if not isinstance(settlement.decision.transition, Dead):
            continue
        job, attempts = settlement.claimed.job, settlement.attempts
        log.warning(
            "job dead",
            region=str(job.region),
            verdict=str(settlement.decision.transition.verdict),
            job=settlement.claimed.id,
            kind=job.kind,
            configuration=job.mapping,
            attempts=attempts[-1].n if attempts else settlement.claimed.history.last_n,
            status=attempts[-1].status if attempts else None,
        )


def log_notice(region: Region, notice: Notice) -> None:
    """Log a change of a hold, or a job that became dead without a worker's decision."""
    if isinstance(notice, Death):
        log.warning("job dead", region=str(region), verdict=notice.verdict, job=notice.job, hold=notice.scope)
        return
    facts = _facts(region, notice.hold)
    match notice.event:
        case "opened":
            log.warning("hold opened", **facts, **_outlook(region, notice.hold))
        case "moved":
            log.warning("hold probe failed", **facts, **_outlook(region, notice.hold))
        case "lifted":
            log.info("hold lifted", **facts, why=notice.why)


def _facts(region: Region, hold: Hold) -> dict[str, str]:
    """Return what a hold stops, and what opened it."""
    return _without_none(
        region=str(region),
        verdict=hold.verdict,
        hold=hold.scope or "region",
        reason=hold.reason,
        by=hold.by,
        since=iso(hold.since),
        cause=opened_by(hold, iso),
        probes=failed_probes(hold, iso),
    )


def _outlook(region: Region, hold: Hold) -> dict[str, str]:
    """Return what a hold means, when it ends, and what to do."""
    return _without_none(
        meaning=meaning(hold), next_probe=iso(hold.probe_at), until=iso(hold.until), to_do=action(hold, region)
    )


def _without_none(**facts: str | None) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value}
