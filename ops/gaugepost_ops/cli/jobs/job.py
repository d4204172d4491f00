"""`gaugepost job`: show everything about one job, or about one upload."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaugepost.set_view import read_set
from gaugepost.states import JobState
from gaugepost.verdict import Verdict
from gaugepost_ops.cli.aliases import aliased
from gaugepost_ops.cli.audited import audited_producer
from gaugepost_ops.cli.common import (
    WHERE_JOBS,
    WHERE_UPLOADS,
    AsJson,
    Exit,
    Failure,
    RegionLedgers,
    ShowData,
    console,
    write_row,
)
from gaugepost_ops.cli.missing_workers import MissingWorkers
from gaugepost_ops.cli.output.formatting import clock_iso, printable
from gaugepost_ops.cli.output.state_text import STYLES, describe_state
from gaugepost_ops.cli.output.text_layout import print_hanging
from gaugepost_ops.cli.uploads.file_set import find_set, is_set, print_set, to_dict
from gaugepost_ops.cli.uploads.lanes import DueTimes, job_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gaugepost.ledger import JobView
    from gaugepost_ops.cli.audited import Recording

_LOOK = "Look whether CustomerGauge has it"
_UNCLEAR = {Verdict.LOST_ANSWER, Verdict.UNREADABLE_SUCCESS, Verdict.SERVER_ERROR}
"""Verdicts of attempts that CustomerGauge may have carried out all the same."""
_FILES = {"file", "file_delete"}


def job(
    job_id: Annotated[str, typer.Argument(metavar="ID|SET", help="The id that enqueue or upload printed.")],
    *,
    show_data: ShowData = False,
    as_json: AsJson = False,
) -> None:
    """Show a job: its state, why it waits and until when, each attempt and its verdict, the result.

    For an upload (set-…), shows its progress, its result, and when its next and its last part start.
    Personal data is shown only with --show-data. Times are local; in --json they have their offset.

    Example: `gaugepost job 0f8fad5bd9cb469fa16570867728950e --json`
    """
    with audited_producer("job", target=job_id, unless=not show_data) as (producer, audit):
        regions = RegionLedgers(producer)
        if is_set(job_id):
            _show_set(regions, job_id, DueTimes(producer), audit, show_data=show_data, as_json=as_json)
            return
        view = _find(regions, job_id)
        audit.begin(view.region)
        audit.count(view.region)
        row = aliased(job_row(view, DueTimes(producer), show_data=show_data), producer)
    if as_json:
        write_row(row)
    else:
        _print(row)
        missing_workers = MissingWorkers()
        missing_workers.add(view.region, view.no_worker)
        missing_workers.note()
    if view.sealed:
        raise Failure(Exit.FAILED, view.sealed)


def _show_set(
    regions: RegionLedgers, set_id: str, dues: DueTimes, audit: Recording, *, show_data: bool, as_json: bool
) -> None:
    found = find_set(regions, set_id)
    if found is None:
        regions.require_all_reached()
        raise Failure(Exit.FAILED, f"no upload {set_id}", WHERE_UPLOADS)
    ledger, files = found
    audit.begin(ledger.region)
    audit.count(ledger.region)
    view = read_set(ledger, files)
    if as_json:
        write_row(to_dict(view, ledger, dues, show_data=show_data))
    else:
        print_set(view, ledger, dues, show_data=show_data)


def _find(regions: RegionLedgers, job_id: str) -> JobView:
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            view = ledger.read([job_id])[0]
            if view is not None:
                return view
    regions.require_all_reached()
    raise Failure(Exit.FAILED, f"no job {job_id}", WHERE_JOBS)


def _print(row: Mapping[str, Any]) -> None:
    """Print facts and timeline, without a frame, so that people can copy ids and links."""
    from rich.text import Text  # noqa: PLC0415 - --json does without rich

    out = console()
    out.print(f"{row['kind']} in {row['region']}", style="bold")
    for name, value in _facts(row):
        style = STYLES.get(row["state"], "") if name == "state" else ""
        print_hanging(out, Text(f"  {printable(name)}", "dim"), printable(value), at=24, style=style)
    out.print()
    events = [(f"  {clock_iso(entry['at'])}", entry["event"], _details(entry)) for entry in row["timeline"]]
    times, names = (max((len(event[part]) for event in events), default=0) for part in (0, 1))
    for time, name, details in events:
        print_hanging(out, Text.assemble((time.ljust(times), "dim"), f"  {name}"), details, at=times + names + 4)


def _facts(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "id", row["id"]
    yield "state", describe_state(row["state"], row["reason"], row["verdict"], clock_iso(row["until"]), row["meaning"])
    if hold := row["hold"]:
        yield "held since", f"{clock_iso(hold['since'])}, by {hold['by']}"
        yield from [("to do", hold["to_do"])] if hold["to_do"] else []
    if row["state"] == JobState.UNKNOWN:
        yield "to do", f"{_LOOK}, then: gaugepost settle {row['id']} --as delivered (or --as dead)"
    if row.get("alias"):
        yield "alias", row["alias"]
    for name in ("configuration", "source", "batch", "idempotency_key"):
        if row[name]:
            yield name.replace("_", " "), row[name]
    if "set" in row:
        yield from _file_facts(row)
    if row["labels"]:
        yield "labels", ", ".join(row["labels"])
    for name, value in (row["result"] or {}).items():
        yield name.replace("_", " "), _text(value)
    yield from [("erased", clock_iso(row["erased"]))] if row.get("erased") else []
    yield from (("warning", warning) for warning in row["warnings"])
    yield from _repeats(row)
    yield from _data(row.get("data") or {})


def _repeats(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the attempts after which CustomerGauge may have a delivered job twice. It takes no file twice."""
    unclear = [str(attempt["n"]) for attempt in row["attempts"] if attempt["verdict"] in _UNCLEAR]
    if unclear and row["state"] == JobState.DELIVERED and row["kind"] not in _FILES:
        attempts = f"attempt {unclear[0]}" if len(unclear) == 1 else f"attempts {', '.join(unclear)}"
        yield "may be there twice", f"{attempts} had no clear answer; look at CustomerGauge"


def _data(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the job's content as names and values. Each column of a record is one of them: `record.Email`."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{heading}", _text(cell)) for heading, cell in value.items())
        else:
            yield name.replace("_", " "), _text(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _file_facts(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if row["due"]:
        yield "starts", clock_iso(row["due"])
    yield "file", f"{row['filename']}, {row['rows']:,} rows, {row['family']}"
    if row["set"]:
        yield "part", f"{row['part']} of {row['of']} of {row['set']}"


def _details(entry: Mapping[str, Any]) -> str:
    """Return the details of an event of the timeline. Each field error of an attempt is on a line of its own."""
    if entry["event"] == "check":
        return _look(entry)
    if entry["event"] != "attempt":
        facts = [str(entry[name]) for name in ("by", "why", "reason") if entry.get(name)]
        facts += [f"edited {', '.join(entry['edited'])}"] if entry.get("edited") else []
        return printable(", ".join(facts))
    status = f"HTTP {entry['status']}" if entry.get("status") else "no answer"
    lines = [f"{entry['n']}: {entry['verdict']}, {status}, {entry['ms']} ms", entry.get("message", "")]
    lines += [f"{name}: {' '.join(texts)}" for name, texts in entry.get("field_errors", {}).items()]
    return "\n".join(printable(line) for line in lines if line)


def _look(entry: Mapping[str, Any]) -> str:
    """Return what the worker found in CustomerGauge's upload statistics."""
    if entry.get("status") != HTTPStatus.OK:
        return f"statistics: HTTP {entry['status']}" if entry.get("status") else "statistics: no answer"
    if not entry["found"]:
        return "statistics: not there yet"
    return "statistics: processed" if entry["processed"] else "statistics: there, not processed yet"
