"""Endpoints of webhooks and their failures as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gaugepost.ledger.webhook_records import Endpoint, OutboxEvent

_NEARLY_FULL = 0.8


def line_of(row: Mapping[str, Any]) -> str:
    """Return an endpoint, a row of `merged`, as a line."""
    by_region: Mapping[str, Mapping[str, Any]] = row["by_region"]
    facts = [
        f"{row['id']}  {row['url']}  {row['state']}",
        row["disabled_reason"] or row["last_error"] or "",
        f"source {row['source']}" if row["source"] else "",
        f"in {', '.join(by_region)}",
        f"{row['sent']:,} sent, {row['waiting']:,} waiting, {row['given_up']:,} given up",
        *(f"{region} {text}" for region, one in by_region.items() if (text := _fullness(one))),
        f"{row['dropped']:,} dropped: its outbox was full" if row["dropped"] else "",
    ]
    return "; ".join(filter(None, facts))


def _fullness(numbers: Mapping[str, Any]) -> str:
    held, limit = numbers["waiting"] + numbers["given_up"], numbers["limit"]
    if held >= limit:
        return f"outbox is full: it drops new events until fewer than {limit:,} wait"
    return f"outbox is {held / limit:.0%} full" if held > _NEARLY_FULL * limit else ""


def trouble_lines(endpoints: Sequence[Endpoint]) -> Iterator[str]:
    """Yield a line for each endpoint of a region that needs a person, or may need one soon."""
    for one in endpoints:
        numbers, fullness = one.numbers, _fullness(one.to_dict())
        if one.state != "active" or fullness or numbers.dropped:
            why = one.disabled[1] if one.disabled else numbers.error or ""
            dropped = f"{numbers.dropped:,} events dropped" if numbers.dropped else ""
            yield "; ".join(filter(None, (f"{one.id} {one.state}", why, fullness, dropped)))


def failure_row(event: OutboxEvent, endpoint_id: str, region: str) -> dict[str, Any]:
    """Return the row of `gaugepost webhooks failures --json`."""
    row = event.to_dict()
    return {"id": row.pop("id"), "webhook": endpoint_id, "region": region, **row}


def line_of_failure(row: Mapping[str, Any]) -> str:
    """Return an event that failed as a line."""
    then = f"next try at {row['next_at']}" if row["next_at"] else "given up"
    what = " ".join(filter(None, (row["type"], row["job"])))
    return f"{row['id']}  {row['webhook']}  {what}: {row['error']}; {row['tries']} tries, {then}"
