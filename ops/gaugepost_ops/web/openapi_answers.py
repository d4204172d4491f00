"""The objects that the gateway answers with, in its OpenAPI description. Newer versions may add fields to each."""

from __future__ import annotations

from typing import Any

from gaugepost.ledger.operations import Action, OperationState
from gaugepost.regions import Region
from gaugepost.states import JobState

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "integer"}
_RATE: Json = {"type": "number"}
_FLAG: Json = {"type": "boolean"}
_TIME: Json = {"type": "string", "format": "date-time"}
_ANY: Json = {"type": "object", "additionalProperties": True}
_COUNTS: Json = {"type": "object", "additionalProperties": _NUMBER}
_REGION: Json = {"type": "string", "enum": [str(region) for region in Region]}
_STATE: Json = {"type": "string", "enum": [str(state) for state in JobState]}


_WEBHOOK: Json = {
    "id": _TEXT,
    "url": _TEXT,
    "events": {"type": "array", "items": _TEXT},
    "regions": {"type": "array", "items": _REGION},
    "source": {"type": ["string", "null"]},
    "with_result": _FLAG,
}


def _or_null(schema: Json) -> Json:
    return schema | {"type": [schema["type"], "null"]}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _always(properties: Json, **sometimes: Json) -> Json:
    """Return an object that has these properties always, and `sometimes` others."""
    return {"type": "object", "properties": properties | sometimes, "required": list(properties)}


def schemas() -> Json:
    """Return the schemas by their names."""
    return {
        "Attempt": _always(
            {
                "n": _NUMBER,
                "at": _TIME,
                "ms": _NUMBER,
                "status": _or_null(_NUMBER),
                "verdict": _TEXT,
                "message": _TEXT,
            },
            field_errors={"type": "object", "additionalProperties": _list(_TEXT)},
        ),
        "ShownJob": _shown_job(),
        "Batch": _batch(),
        "Hold": _hold(),
        "RegionStatus": _region_status(),
        "Lane": _lane(),
        "FileSet": _file_set(),
        "CancelledFile": _file_set(cancelled=_NUMBER),
        "UndoneFile": _undone_file(),
        "DryRun": _dry_run(),
        "Operation": _operation(),
        "AuditEntry": _audit_entry(),
        "Webhook": _webhook(),
        "AddedWebhook": _always(_WEBHOOK | {"secret": _TEXT}),
    }


def _of_file() -> Json:
    """Return the fields that describe the content of a file."""
    return {"family": _TEXT, "set": _or_null(_TEXT), "part": _NUMBER, "of": _NUMBER, "filename": _TEXT, "rows": _NUMBER}


def _shown_job() -> Json:
    maybe, when = _or_null(_TEXT), _or_null(_TIME)
    facts = {"id": _TEXT, "kind": _TEXT, "region": _REGION, "state": _STATE}
    why = {"reason": maybe, "meaning": maybe, "until": when, "hold": _or_null(_ANY), "verdict": maybe}
    events = {"attempts": _list({"$ref": "#/components/schemas/Attempt"}), "checks": _list(_ANY)}
    times = {"enqueued_at": _TIME, "ended_at": when}
    references = {"idempotency_key": maybe, "source": maybe, "configuration": maybe, "deliver_at": when}
    more = {"urgent": _FLAG, "labels": _list(_TEXT), "batch": maybe, "timeline": _list(_ANY)}
    of_file = _of_file() | {"bytes": _NUMBER, "due": when}
    result = {"result": _or_null(_ANY), "warnings": _list(_TEXT)}
    return _always(
        facts | why | events | result | times | references | more,
        **of_file,
        alias=maybe,
        sealed=_TEXT,
        erased=_TIME,
        matched=_TEXT,
    )


def _batch() -> Json:
    canary = _always(
        {
            "size": _NUMBER,
            "tolerance": _RATE,
            "state": {"type": "string", "enum": ["running", "passed", "held"]},
            "reason": _or_null(_TEXT),
            "members": _NUMBER,
            "ended": _NUMBER,
            "not_clean": _NUMBER,
        }
    )
    counts = {"total": _NUMBER, "states": _COUNTS, "verdicts": _COUNTS, "warnings": _NUMBER, "canary": _or_null(canary)}
    times = {"held": _NUMBER, "rate": _RATE, "ends_at": _or_null(_TIME), "started_at": _TIME, "active_at": _TIME}
    regions = {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Batch"}}
    return _always({"batch": _TEXT} | counts | times, regions=regions, not_asked=_list(_TEXT))


def _hold() -> Json:
    maybe, when = _or_null(_TEXT), _or_null(_TIME)
    scope = {"configuration": maybe, "credentials": maybe, "endpoints": maybe, "batch": maybe}
    times = {"since": _TIME, "until": when, "probe_at": when}
    why = {"verdict": maybe, "cause": _or_null(_ANY), "failed_probes": _NUMBER, "last_failed_probe": _or_null(_ANY)}
    advice = {"meaning": maybe, "to_do": maybe, "waiting": _NUMBER, "workers": _NUMBER, "alias": maybe}
    more = {"region": _REGION, **scope, "reason": _TEXT, "by": _TEXT, **times, **why, **advice}
    found = _always({"id": _TEXT}, **more)
    return found | {"description": "A hold that was lifted meanwhile has only its `id`."}


def _region_status() -> Json:
    times = {"token_expires": _or_null(_TIME), "next_slot": _or_null(_TIME)}
    ages = {"oldest_age": _or_null(_RATE), "oldest_queued_s": _or_null(_RATE), "beat_age_s": _or_null(_RATE)}
    missing = _list(_always({"part": _TEXT, "reason": _TEXT, "command": _TEXT}))
    holds = {"holds": _list(_TEXT), "holds_by_scope": {"type": "object", "additionalProperties": _ANY}}
    counts = {str(state): _NUMBER for state in JobState} | {"scheduled": _NUMBER}
    reasons = {"parked_by_reason": _COUNTS, "dead_by_verdict": _COUNTS}
    parts = {"concurrency_limit": _or_null(_NUMBER), "workers": _NUMBER, "missing": missing}
    return _always({"region": _REGION, **counts, **reasons, **holds, **times, **ages, **parts})


def _lane() -> Json:
    when = _or_null(_TIME)
    file = {"id": _TEXT, "source": _or_null(_TEXT), **_of_file()}
    hold = _always({"reason": _TEXT, "by": _TEXT, "until": when})
    waiting = _list(_always(file | {"due": when, "first": _FLAG}))
    processing = _list(_always(file | {"state": _STATE, "reason": _or_null(_TEXT), "next_look": when}))
    slots = {"interval": _RATE, "last_start": when, "next_slot": when, "hold": _or_null(hold)}
    return _always({"region": _REGION, "lane": _TEXT, **slots, "waiting": waiting, "processing": processing})


def _webhook() -> Json:
    maybe, when, numbers = _or_null(_TEXT), _or_null(_TIME), ("waiting", "given_up", "sent", "dropped", "limit")
    state = {"type": "string", "enum": ["active", "failing", "disabled"]}
    counts = dict.fromkeys(numbers, _NUMBER)
    why = {"disabled_at": when, "disabled_reason": maybe, "failing_since": when, "last_error": maybe}
    times = {"last_sent_at": when, "created_at": _TIME, "created_by": _TEXT}
    regions = {"type": "object", "additionalProperties": _always({"state": state, **counts, "last_error": maybe})}
    return _always({**_WEBHOOK, "state": state, **why, **times, **counts, "by_region": regions})


def _operation() -> Json:
    action = {"type": "string", "enum": [str(action) for action in Action]}
    state = {"type": "string", "enum": [str(state) for state in OperationState]}
    what = {"id": _TEXT, "region": _REGION, "action": action, "filter": _ANY, "set": _ANY, "reason": _TEXT, "by": _TEXT}
    progress = {"state": state, "matched": _NUMBER, "done": _NUMBER, "skipped": _COUNTS}
    limits = {"rate": _or_null(_RATE), "limit": _or_null(_NUMBER)}
    return _always(what | progress | limits | {"started_at": _TIME, "ended_at": _or_null(_TIME)})


def _file_set(**more: Json) -> Json:
    maybe, when = _or_null(_TEXT), _or_null(_TIME)
    state = {"type": "string", "enum": [*map(str, JobState), "forgotten"]}
    what = {"part": _NUMBER, "id": _TEXT, "state": state, "filename": maybe, "rows": _or_null(_NUMBER)}
    why = {"due": when, "ended_at": when, "reason": maybe, "until": when, "verdict": maybe}
    counts = dict.fromkeys(("total", "successful", "unsuccessful"), _or_null(_NUMBER))
    lists = {"messages": _list(_TEXT), "rejected": _list(_NUMBER), "upload_ids": _list(_NUMBER)}
    deletions = _list(_always({"upload_id": _NUMBER, "id": _TEXT, "state": maybe}))
    undone = _or_null(_always({"at": _TIME, "by": _TEXT, "deletions": deletions}))
    about = {"id": _TEXT, "region": _REGION, "family": _TEXT, "filename": _TEXT, "rows": _NUMBER}
    progress = {"states": _COUNTS, "ended": _FLAG, "rows_delivered": _NUMBER, "next_due": when, "last_due": when}
    parts = _list(_always(what | why))
    return _always(about | progress | {"result": _always(counts | lists), "undone": undone, "parts": parts} | more)


def _undone_file() -> Json:
    deletions = _list(_always({"upload_id": _NUMBER, "id": _TEXT}))
    found = _always({"set": _TEXT, "cancelled": _NUMBER, "deletions": deletions, "not_known": _list(_TEXT)})
    return found | {"description": "`deletions`: the jobs that delete uploads. `not_known`: parts to undo later."}


def _dry_run() -> Json:
    maybe, texts = _or_null(_TEXT), _list(_TEXT)
    what = {"region": _REGION, "state": _STATE, "kind": _TEXT, "verdict": maybe, "reason": maybe, "meaning": maybe}
    which = {"configuration": maybe, "fields": texts, "count": _NUMBER, "newest": _TIME, "example": _TEXT}
    advice = {"look": maybe, "to_do": maybe, "command": maybe, "examples": texts}
    groups = _list(_always(what | which | advice, alias=maybe))
    return _always({"dry_run": _FLAG, "matched": _NUMBER, "complete": _FLAG, "groups": groups})


def _audit_entry() -> Json:
    maybe = _or_null(_TEXT)
    who = {"at": _TIME, "actor": _TEXT, "via": _TEXT, "action": _TEXT, "region": maybe, "target": maybe}
    return _always(who | {"count": _NUMBER, "reason": maybe, "outcome": _TEXT, "error": maybe, "id": _TEXT})
