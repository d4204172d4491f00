"""`gaugepost status`: show all regions, one column for each."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaugepost.errors import StoreUnreachable
from gaugepost.ledger.explanations import failed_probes, meaning, opened_by
from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost_ops.cli.aliases import scope_name
from gaugepost_ops.cli.common import AsJson, RegionLedgers, console, open_producer, write_rows
from gaugepost_ops.cli.operations.webhook_lines import trouble_lines
from gaugepost_ops.cli.output.formatting import age, clock, clock_iso, printable
from gaugepost_ops.cli.output.state_text import STYLES
from gaugepost_ops.cli.output.text_layout import fold, terminal_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console, Group
    from rich.table import Table
    from rich.text import Text

    from gaugepost.client import Producer
    from gaugepost.ledger import Hold

_EVERY_S = 1.0
_MISSING = {"worker": "red", "beat": "yellow"}
"""Processes that may be missing, and the colour of the message. Without beat, workers run the ticks themselves."""
_SHOWN_IF_ANY = (JobState.CANCELLED, JobState.EXPIRED)
_IN_WORDS = {"canary": "wait for a canary"}
"""Reasons of parked jobs that need words."""
_HELD = "held"
"""The key under which a summary has its `Hold` objects, beside the texts under `holds`."""
Summaries = dict[Region, "Mapping[str, Any] | None"]
"""The summary of each region; None if the region could not be reached."""


def status(
    region: Annotated[Region | None, typer.Option(help="Only this region's.")] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show each region: jobs by state, why they are parked or dead, holds, token, next upload, oldest queued job.

    It also shows the number of workers, the last tick of beat, and the command that starts what is missing. It costs
    Redis the same for any backlog.

    Example: `gaugepost status --watch`
    """
    with open_producer() as producer:
        regions = RegionLedgers(producer, region)
        found = _ask(regions)
        if watch:
            _watch(producer, found, as_json=as_json)
        else:
            _print(producer, found, as_json=as_json)
        regions.require_all_reached()


def _ask(regions: RegionLedgers) -> Summaries:
    found: Summaries = dict.fromkeys(regions.names)
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            holds = ledger.holds()
            webhooks = list(trouble_lines(ledger.webhooks.read()))
            found[ledger.region] = {**ledger.summary(holds), "webhooks": webhooks, _HELD: holds}
    return found


def _print(producer: Producer, found: Summaries, *, as_json: bool) -> None:
    if as_json:
        shown = [summary for summary in found.values() if summary is not None]
        write_rows({name: value for name, value in summary.items() if name != _HELD} for summary in shown)
    else:
        out = console()
        out.print(render(_with_hold_texts(producer, found), terminal_width(out)))
        sys.stdout.flush()


def _watch(producer: Producer, found: Summaries, *, as_json: bool) -> None:
    """Show the regions every second. A Redis that fails meanwhile is shown as unreachable, and asked again."""
    try:
        if as_json or not sys.stdout.isatty():
            while True:
                _print(producer, found, as_json=as_json)
                time.sleep(_EVERY_S)
                found = _ask_again(producer, found)
        _redraw(producer, found)
    except KeyboardInterrupt:
        return


def _ask_again(producer: Producer, last: Summaries) -> Summaries:
    """Ask the regions of the `last` answer once more."""
    regions = RegionLedgers(producer, next(iter(last)) if len(last) == 1 else None, quiet=True)
    try:
        return _ask(regions)
    except StoreUnreachable:
        return dict.fromkeys(regions.names)


def _redraw(producer: Producer, found: Summaries) -> None:
    from rich.live import Live  # noqa: PLC0415 - only --watch needs it

    out, last = console(), found
    try:
        # The alternate screen: resizing the window leaves no remains, and the scroll-back is kept.
        with Live(_watched(producer, found, out), console=out, auto_refresh=False, screen=True) as live:
            while True:
                time.sleep(_EVERY_S)
                last = _ask_again(producer, last)
                live.update(_watched(producer, last, out), refresh=True)
    finally:
        out.print(render(_with_hold_texts(producer, last), terminal_width(out)))


def _watched(producer: Producer, found: Summaries, out: Console) -> Group:
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    now = clock(time.time() * 1000)
    drawn = render(_with_hold_texts(producer, found), terminal_width(out))
    return Group(Text(f"  gaugepost {now}, Ctrl-C ends", "dim"), drawn)


def _with_hold_texts(producer: Producer, found: Summaries) -> Summaries:
    """Return the summaries with each hold as a text: scope (by its alias), reason, since when, until when."""
    return {
        region: one and {**one, "holds": [_hold_text(producer, region, hold) for hold in one[_HELD].values()]}
        for region, one in found.items()
    }


def _hold_text(producer: Producer, region: Region, hold: Hold) -> str:
    what = f"{scope_name(producer, hold.scope or 'region', region)}: {hold.reason}"
    what += f" ({meaning(hold)})" if meaning(hold) else ""
    since = f"since {clock(hold.since)} by {hold.by}"
    since += f" until {clock(hold.until)}" if hold.until else ""
    since += f", next probe {clock(hold.probe_at)}" if hold.probe_at and not hold.until else ""
    cause = f"opened by {opened_by(hold, clock)}" if hold.cause else ""
    return "; ".join(filter(None, (what, since, cause, failed_probes(hold, clock))))


def render(found: Summaries, width: int | None) -> Group:
    """Draw the counts, and below them holds and missing processes, whose texts are wider than a column.

    `width`: of the terminal, in letters; None: not limited.
    """
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    holds = [(region, printable(hold)) for region, one in found.items() for hold in (one or {}).get("holds", ())]
    lines = [line for region, hold in holds for line in _hanging_lines(f"  {region}  ", hold, width)]
    hold_lines = [Text("  holds", "bold"), *(Text(line, STYLES["parked"]) for line in lines), Text()] if holds else []
    return Group(*_tables(found, width), *hold_lines, *_webhooks(found, width), *_missing(found, width))


def _webhooks(found: Summaries, width: int | None) -> list[Text]:
    """Return the endpoints of webhooks that need a person."""
    from rich.text import Text  # noqa: PLC0415

    troubles = [(region, printable(text)) for region, one in found.items() for text in (one or {}).get("webhooks", ())]
    lines = [Text(line, "yellow") for region, text in troubles for line in _hanging_lines(f"  {region}  ", text, width)]
    return [Text("  webhooks", "bold"), *lines, Text()] if lines else []


def _missing(found: Summaries, width: int | None) -> list[Text]:
    """Return the missing processes: each once, with the regions that miss it and the command that starts it."""
    from rich.text import Text  # noqa: PLC0415

    regions: dict[tuple[str, str], list[str]] = {}
    for region, one in found.items():
        for part in (one or {}).get("missing", ()):
            regions.setdefault((part["part"], f"{part['reason']}: {part['command']}"), []).append(region)
    lines = [
        Text(line, _MISSING[part])
        for (part, text), of in regions.items()
        for line in _hanging_lines(f"  {', '.join(of)}  ", printable(text), width)
    ]
    return [Text("  missing", "bold"), *lines, Text()] if lines else []


def _hanging_lines(head: str, text: str, width: int | None) -> Iterator[str]:
    for line in [text] if width is None else fold(text, width - len(head)):
        yield head + line
        head = " " * len(head)


def _tables(found: Summaries, width: int | None) -> list[Table]:
    """Draw the counts as tables: as many regions side by side as fit, the others below."""
    from rich.console import Console  # noqa: PLC0415
    from rich.measure import Measurement  # noqa: PLC0415

    regions, out, beside = list(found.items()), Console(width=sys.maxsize), len(found)
    while True:
        tables = [counts_table(dict(regions[start : start + beside])) for start in range(0, len(regions), beside)]
        needed = max(Measurement.get(out, out.options, one).maximum for one in tables)
        if width is None or needed <= width or beside == 1:
            return tables
        beside -= 1


def counts_table(found: Summaries) -> Table:
    """Draw the counts of these regions as one table, one column for each region. Three regions fit in 80 letters."""
    from rich import box  # noqa: PLC0415 - --json does without rich
    from rich.table import Table  # noqa: PLC0415

    drawn = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1))
    drawn.add_column("", overflow="fold")
    for region in found:
        drawn.add_column(region, justify="right", overflow="fold")
    summaries = list(found.values())
    if None in summaries:
        drawn.add_row("Redis", *("unreachable" if one is None else "" for one in summaries), style="red")
    for name, texts, style in _rows([one or {} for one in summaries]):
        drawn.add_row(name, *texts, style=style)
    return drawn


Line = tuple[str, list[str], str]
"""A row's name, its text for each region, its style."""


def _rows(regions: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """Yield the rows of the table. For a region that could not be reached, `regions` has an empty mapping."""
    for state in ("queued", "waiting", "sending"):
        yield _count_row(state, regions)
    if any(one.get("scheduled") for one in regions):
        yield _count_row("scheduled", regions)
    in_trouble = [_without_scheduled(one) for one in regions]
    yield _count_row("parked", in_trouble)
    yield from _detail_rows("parked_by_reason", in_trouble, STYLES["parked"])
    yield _count_row("unknown", regions)
    yield _count_row("dead", regions)
    yield from _detail_rows("dead_by_verdict", regions, STYLES["dead"])
    yield _count_row("delivered", regions)
    for state in _SHOWN_IF_ANY:
        if any(one.get(state) for one in regions):
            yield _count_row(state, regions)
    yield "holds", [str(len(one["holds"])) if one.get("holds") else "-" if one else "" for one in regions], ""
    yield "token until", [clock_iso(one["token_expires"]) or "-" if one else "" for one in regions], ""
    yield "next upload", [_slot(one["next_slot"]) if one else "" for one in regions], ""
    yield "oldest queued", [age(one["oldest_queued_s"]) or "-" if one else "" for one in regions], ""
    yield (
        "workers",
        [str(one["workers"] or "none") if one else "" for one in regions],
        _missing_style("worker", regions),
    )
    yield "beat ticked", [_ago(one["beat_age_s"]) if one else "" for one in regions], _missing_style("beat", regions)


def _without_scheduled(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary whose parked jobs are those that wait because something failed."""
    if not summary:
        return {}
    by_reason = {why: number for why, number in summary["parked_by_reason"].items() if why != "scheduled"}
    return {**summary, "parked": summary["parked"] - summary.get("scheduled", 0), "parked_by_reason": by_reason}


def _missing_style(part: str, regions: Sequence[Mapping[str, Any]]) -> str:
    is_missing = any(found["part"] == part for one in regions for found in one.get("missing", ()))
    return _MISSING[part] if is_missing else ""


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{age(seconds)} ago"


def _count_row(state: str, regions: Sequence[Mapping[str, Any]]) -> Line:
    numbers = [one.get(state) for one in regions]
    return state, [f"{number:,}" if number is not None else "" for number in numbers], STYLES.get(state, "")


def _detail_rows(name: str, regions: Sequence[Mapping[str, Any]], style: str) -> Iterator[Line]:
    found = [one.get(name, {}) for one in regions]
    for cause in sorted(set().union(*found)):
        numbers = [f"{one[cause]:,}" if cause in one else "" for one in found]
        yield f"  {printable(_IN_WORDS.get(cause) or cause)}", numbers, f"{style} dim"


def _slot(text: str | None) -> str:
    """Return when the next upload may start: `now`, or a time."""
    if text is None or datetime.fromisoformat(text) <= datetime.now(UTC):
        return "now"
    return clock_iso(text)
