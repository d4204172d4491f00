"""The body of a webhook: what happened to which job, and no data of the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from gaugepost.errors import DataSealed
from gaugepost.ledger.holds import iso
from gaugepost.ledger.webhook_records import FILE_FINISHED, JOB_EVENTS
from gaugepost.redaction import mask_contacts

if TYPE_CHECKING:
    from gaugepost.ledger import JobView
    from gaugepost.ledger.webhook_records import Endpoint, OutboxEvent
    from gaugepost.regions import Region

_TIMES = ("since", "until")
_WORDS = ("reason", "why")
"""Words of persons. Names, such as that of a batch, stay as they are."""


def body_of(event: OutboxEvent, region: Region, endpoint: Endpoint, view: JobView | None) -> bytes | None:
    """Return the body; None if the endpoint does not want this event. `view`: its job, if it still exists.

    Raises DataSealed if this worker lacks the key of the job.
    """
    if view is not None and view.sealed:
        raise DataSealed(view.sealed)
    if event.type in JOB_EVENTS:
        data = _of_job(event, region, endpoint, view)
    elif event.type == FILE_FINISHED:
        data = _of_file(event, region, view)
    else:
        data = _of_other(event, region)
    if not endpoint.wants(event.type, data.get("source")):
        return None
    return to_json({"type": event.type, "timestamp": iso(event.at), "data": data})


def _of_job(event: OutboxEvent, region: Region, endpoint: Endpoint, view: JobView | None) -> dict[str, Any]:
    job = {} if view is None else view.job
    facts = {
        "id": event.data.get("id"),
        "kind": event.data.get("kind") or job.get("kind"),
        "region": str(region),
        "state": event.data.get("state"),
        "verdict": event.data.get("verdict"),
        "reason": event.data.get("reason"),
        "idempotency_key": job.get("idempotency_key"),
        "batch": event.data.get("batch"),
        "labels": list(job.get("labels") or ()),
        "source": event.data.get("source") or job.get("source"),
    }
    if endpoint.with_result:
        facts["result"] = None if view is None else view.result
    return facts


def _of_file(event: OutboxEvent, region: Region, view: JobView | None) -> dict[str, Any]:
    """Return the upload that has ended. `view`: its last part, or its only job."""
    job = {} if view is None else view.job
    stored = job.get("stored") or {}
    return {
        "id": event.data.get("set") or event.data.get("id"),
        "region": str(region),
        "family": job.get("family"),
        "parts": stored.get("of") or 1,
        "batch": job.get("batch"),
        "labels": list(job.get("labels") or ()),
        "source": event.data.get("source") or job.get("source"),
    }


def _of_other(event: OutboxEvent, region: Region) -> dict[str, Any]:
    """Return what the script wrote, with times as ISO 8601. Contacts in texts of persons are masked."""
    facts: dict[str, Any] = dict(event.data)
    facts |= {name: mask_contacts(facts[name]) for name in _WORDS if facts.get(name)}
    facts |= {name: iso(facts[name]) for name in _TIMES if facts.get(name) is not None}
    if facts.get("scope") == "":
        facts["scope"] = "region"
    return {"region": str(region), **facts}
