"""The jobs that an operation over HTTP would change: counted by groups, and checked with the changes of a replay."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gaugepost.errors import InvalidJob
from gaugepost.ledger.finding import LOOKED_AT
from gaugepost.ledger.operations import STATES
from gaugepost_ops.cli.aliases import aliased
from gaugepost_ops.cli.common import RegionLedgers
from gaugepost_ops.cli.jobs.filters import without_repeats
from gaugepost_ops.cli.jobs.groups import dry_run_rows
from gaugepost_ops.cli.jobs.references import Walk, Wanted
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.client import Producer
    from gaugepost.ledger import JobView
    from gaugepost.ledger.edits import Edits
    from gaugepost_ops.web.new_operation import NewOperation

_NAMED = 10


def dry_run(producer: Producer, wanted: NewOperation) -> dict[str, Any]:
    """Return the rows of `--dry-run --json`, with `complete`: whether it looked at all jobs. Raises Refused (422)."""
    edits = wanted.edits(producer)
    views, complete = _matching(producer, wanted)
    _check(views, edits)
    groups = [aliased(row, producer) for row in dry_run_rows(views)]
    return {"dry_run": True, "matched": len(views), "complete": complete, "groups": groups}


def check_edits(producer: Producer, wanted: NewOperation, edits: Edits) -> None:
    """Check the changes of a replay on every job, before the first one is replayed.

    Raises Refused (422) if a job would be invalid, or if there are more jobs than one request may look at.
    """
    views, complete = _matching(producer, wanted)
    _check(views, edits)
    if not complete:
        expected = f"expected at most {LOOKED_AT:,} jobs, which are all checked first: narrow the filter"
        _refuse("filter", f"{expected}, or use `gaugepost replay`", [])


def _matching(producer: Producer, wanted: NewOperation) -> tuple[list[JobView], bool]:
    """Return the jobs that match, in their order, and whether it looked at all."""
    options, state = wanted.filter.options(), wanted.filter.state
    matches = options.of_region(state, producer, wanted.region).matches
    regions = RegionLedgers(producer, wanted.region, quiet=True)
    states = (state,) if state else STATES[wanted.action]
    search = Walk(regions, states, Wanted(options.references, options.since, options.until), LOOKED_AT)
    views = list(filter(matches, without_repeats(iter(search))))
    regions.require_all_reached()
    return sorted(views, key=lambda view: view.stamp)[: wanted.limit], not search.stopped


def _check(views: Sequence[JobView], edits: Edits) -> None:
    """Raise Refused if the changes make a job invalid. It names the first ones."""
    invalid, errors = 0, list[dict[str, str]]()
    for view in views if edits else ():
        try:
            edits.of(view)
        except InvalidJob as error:
            invalid += 1
            if invalid <= _NAMED:
                errors += [{"id": view.id, "field": one.field, "message": one.expected} for one in error.problems]
    if invalid:
        _refuse("set", f"the changes make {invalid:,} of {len(views):,} jobs invalid", errors)


def _refuse(field: str, message: str, errors: list[dict[str, str]]) -> None:
    errors = errors or [{"field": field, "message": message}]
    raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"nothing was replayed: {message}", errors=errors)
