"""`gaugepost mappings`: compare mappings.toml with the fields that the jobs of the last days sent."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaugepost.ledger.field_statistics import KEPT_DAYS, LONGEST_NAME
from gaugepost.mappings import SETTING
from gaugepost.regions import Region  # noqa: TC001 - typer reads it at run time
from gaugepost_ops.cli.common import AsJson, Exit, Failure, RegionLedgers, console, note, open_producer, write_rows
from gaugepost_ops.cli.output.formatting import printable
from gaugepost_ops.cli.output.text_layout import print_hanging

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gaugepost.client import Producer
    from gaugepost.ledger.field_statistics import Seen
    from gaugepost.mappings import RegionMapping

_NOT_SET = (
    f"{SETTING} is not set. Set it to an empty file: from then on gaugepost counts the fields that jobs send, and "
    "`gaugepost mappings --init` prints them as entries for that file"
)


def mappings(
    region: Annotated[Region | None, typer.Option(help="Only this region's.")] = None,
    *,
    init: Annotated[
        bool,
        typer.Option("--init", help="Print entries for mappings.toml, for the configurations that it does not name."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show each configuration: fields that jobs sent and its mapping does not have, and fields that no job sent.

    It counts the jobs of the last 30 days, from all producers that have GAUGEPOST_MAPPINGS set.

    Example: `gaugepost mappings --init >> mappings.toml`
    """
    if init and as_json:
        raise Failure(Exit.USAGE, "--init prints TOML: leave --json out")
    with open_producer() as producer:
        if producer.mappings is None:
            raise Failure(Exit.USAGE, _NOT_SET)
        regions = RegionLedgers(producer, region)
        rows = _rows(producer, regions)
        if init:
            sys.stdout.write(skeleton(row for row in rows if row.known is None))
        elif as_json:
            write_rows(row.to_dict() for row in rows)
        else:
            _print(rows)
        regions.require_all_reached()
    if not rows:
        note(f"no configuration to show: mappings.toml names none, and no job had one in the last {KEPT_DAYS} days")


@dataclass(frozen=True, slots=True)
class Row:
    """One configuration of one region: its entry in the file, and the fields that jobs sent, each with its last day."""

    region: Region
    reference: str
    known: RegionMapping | None
    sent: Mapping[str, int]

    @property
    def unmapped(self) -> list[str]:
        """Return the fields that jobs sent and that CustomerGauge drops."""
        mapped = {field[:LONGEST_NAME] for field in self._fields}
        return [field for field in self.sent if field not in mapped] if self.is_listed else []

    @property
    def never_sent(self) -> list[str]:
        """Return the fields of the mapping that no job sent."""
        return [field for field in self._fields if field[:LONGEST_NAME] not in self.sent]

    @property
    def is_listed(self) -> bool:
        """Return whether the file lists the fields of this configuration."""
        return self.known is not None and self.known.table.fields is not None

    @property
    def _fields(self) -> tuple[str, ...]:
        return (self.known.table.fields if self.known else None) or ()

    @property
    def last_sent(self) -> str | None:
        """Return the last day on which a job used this configuration (ISO 8601); None if none did."""
        return _date(max(self.sent.values())) if self.sent else None

    def to_dict(self) -> dict[str, Any]:
        """Return the row of --json."""
        table = self.known.table if self.known else None
        return {
            "alias": self.known.alias if self.known else None,
            "region": str(self.region),
            "configuration": self.reference,
            "type": table.type if table else None,
            "strict": table.strict if table else False,
            "required": list(table.required) if table else [],
            "sent_not_mapped": self.unmapped,
            "never_sent": self.never_sent,
            "last_sent": self.last_sent,
            "sent": {field: _date(day) for field, day in self.sent.items()},
        }


def _date(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat()


def _rows(producer: Producer, regions: RegionLedgers) -> list[Row]:
    """Return the configurations of the file, in its order, and after them those that it does not name."""
    seen: dict[Region, Seen] = {}
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            seen[ledger.region] = ledger.fields_seen()
    named = [
        Row(one.region, one.reference, one, seen[one.region].pop(one.reference, {}))
        for one in producer.mappings or ()
        if one.region in seen
    ]
    return named + [Row(region, name, None, sent) for region, left in seen.items() for name, sent in left.items()]


def _print(rows: Iterable[Row]) -> None:
    from rich.text import Text  # noqa: PLC0415 - --json does without rich

    out = console()
    for row in rows:
        title = printable(_title(row))
        print_hanging(out, Text(title, "bold"), f"{row.region}  {printable(_about(row))}", at=len(title) + 2)
        for name, value, style in _facts(row):
            print_hanging(out, Text(f"  {name}", "dim"), printable(value), at=22, style=style)


def _title(row: Row) -> str:
    return row.known.alias if row.known else "(no alias)"


def _about(row: Row) -> str:
    table = row.known.table if row.known else None
    facts = [row.reference, (table.type or "") if table else "", "strict" if table and table.strict else ""]
    return ", ".join(filter(None, facts))


def _facts(row: Row) -> Iterator[tuple[str, str, str]]:
    if row.known is None:
        yield "sent", ", ".join(row.sent), ""
    if row.unmapped and row.known:
        yield "sent, not mapped", ", ".join(_with_hint(row.known, field) for field in row.unmapped), "yellow"
    if row.never_sent and row.sent:
        yield "never sent", ", ".join(row.never_sent), ""
    if row.known and row.known.table.required:
        yield "required", ", ".join(row.known.table.required), ""
    yield "last sent", row.last_sent or f"not in the last {KEPT_DAYS} days", ""


def _with_hint(known: RegionMapping, field: str) -> str:
    near = known.near(field)
    return f"{field} ({near}?)" if near else field


def skeleton(rows: Iterable[Row]) -> str:
    """Return entries for mappings.toml. The alias of each configuration is its reference, for a person to change."""
    regions: defaultdict[str, list[str]] = defaultdict(list)
    fields: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        regions[row.reference].append(row.region)
        fields[row.reference].update(row.sent)
    return "".join(_entry(name, regions[name], fields[name]) for name in regions)


def _entry(reference: str, regions: list[str], fields: Iterable[str]) -> str:
    listed = "".join(f"  {_quoted(field)},\n" for field in sorted(fields))
    return (
        f"\n[{_quoted(reference)}]  # the alias: choose a name\n"
        f"configuration = {_quoted(reference)}\n"
        f"region = [{', '.join(map(_quoted, regions))}]\n"
        f'# type = "Multi-Object"\n'
        f"fields = [  # fields that jobs sent; remove those that the mapping does not have\n{listed}]\n"
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
