"""`gaugepost webhooks`: endpoints that get an event when jobs end and when holds open."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaugepost import durations
from gaugepost.errors import DataSealed
from gaugepost.ledger.webhook_records import new_secret
from gaugepost.regions import Region  # noqa: TC001 - typer reads it at run time
from gaugepost_ops.cli.audited import audited_producer
from gaugepost_ops.cli.common import AsJson, Exit, Failure, RegionLedgers, note, open_producer, served, write_row
from gaugepost_ops.cli.operations.webhook_lines import failure_row, line_of, line_of_failure
from gaugepost_ops.cli.operations.webhook_rows import TooManyEndpoints, merged, new_endpoint, new_row, store
from gaugepost_ops.cli.output.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gaugepost.client import Producer
    from gaugepost.ledger import Ledger
    from gaugepost.ledger.webhook_records import Endpoint
    from gaugepost_ops.cli.audited import Recording

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="ID", help="The id of the endpoint (wh-…).")]
_POLL_S = 0.1


@app.callback()
def webhooks() -> None:
    """Tell other services by HTTP when jobs end and when holds open. Workers send a signed request for each event.

    Example: `gaugepost webhooks add https://crm.example/hooks --event job.dead --event job.unknown`
    """


@app.command("add")
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where workers send the events: https://….")],
    event: Annotated[list[str] | None, typer.Option(help="Only this event; default: all.", metavar="E")] = None,
    region: Annotated[list[Region] | None, typer.Option(help="Where; default: all of GAUGEPOST_REGIONS.")] = None,
    source: Annotated[str | None, typer.Option(help="Only jobs of this source.", metavar="S")] = None,
    *,
    with_result: Annotated[bool, typer.Option("--with-result", help="Send the result too, such as links.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint, and print the secret that signs its requests. It is shown only once.

    Example: `gaugepost webhooks add https://crm.example/hooks --event job.dead --region eu --source crm`
    """
    with audited_producer("webhooks add") as (producer, audit):
        settings = producer.settings
        regions = [served(settings, one) for one in region or settings.regions]
        how: dict[str, Any] = {"events": event or (), "source": source, "with_result": with_result, "by": audit.actor}
        try:
            endpoint, secret = new_endpoint(settings, url, regions=regions, **how), new_secret()
            audit.name(endpoint.id)
            store(producer, endpoint, secret, audit.begin)
        except ValueError as error:
            raise Failure(Exit.USAGE, str(error)) from None
        except TooManyEndpoints as error:
            raise Failure(Exit.FAILED, str(error), "`gaugepost webhooks list` lists them") from None
        for one in regions:
            audit.count(one)
    if as_json:
        write_row(new_row(endpoint, secret))
        return
    sys.stdout.write(secret + "\n")
    note(
        f"{endpoint.id}: {printable(url)}. Keep the secret: it cannot be shown again. "
        f"Try it: gaugepost webhooks test {endpoint.id}"
    )


@app.command("list")
def list_webhooks(*, as_json: AsJson = False) -> None:
    """List all endpoints, never their secrets: what each gets, whether it works, and what waits for it.

    Example: `gaugepost webhooks list --json`
    """
    with open_producer() as producer:
        regions = RegionLedgers(producer)
        rows = merged(_all(regions))
        for row in rows:
            write_row(row) if as_json else sys.stdout.write(printable(line_of(row)) + "\n")
        sys.stdout.flush()
        regions.require_all_reached()
    if not rows and not as_json:
        note("no webhooks; `gaugepost webhooks add URL` makes one")


@app.command("remove")
def remove(endpoint_id: Id) -> None:
    """Remove an endpoint. Events that wait for it are deleted. Exit code 1: there is no such endpoint.

    Example: `gaugepost webhooks remove wh-0f8fad5bd9cb`
    """
    with audited_producer("webhooks remove", target=endpoint_id) as (producer, audit):
        done = _in_each(producer, audit, endpoint_id, lambda ledger: ledger.webhooks.drop(endpoint_id))
    sys.stdout.write(f"{endpoint_id}: removed in {', '.join(done)}\n")


@app.command("rotate")
def rotate(
    endpoint_id: Id,
    keep: Annotated[str, typer.Option(help="How long the former secret signs, too.", metavar="T")] = "24h",
    *,
    as_json: AsJson = False,
) -> None:
    """Sign with a new secret, and print it. For a time requests have a signature of the former secret, too.

    Example: `gaugepost webhooks rotate wh-0f8fad5bd9cb --keep 48h`
    """
    try:
        kept_ms = int(durations.seconds(keep) * 1000)
    except (ValueError, OverflowError):
        raise Failure(Exit.USAGE, "--keep: expected a duration such as 24h or 7d") from None
    with audited_producer("webhooks rotate", target=endpoint_id) as (producer, audit):
        secret, now = new_secret(), int(time.time() * 1000)
        regions = RegionLedgers(producer)
        found = [ledger for ledger, endpoint in _all(regions) if endpoint.id == endpoint_id]
        regions.require_all_reached()  # before the first change: no region signs with a secret that was not printed
        try:
            for ledger in found if kept_ms else ():
                ledger.webhooks.secrets(endpoint_id, now)
            _in_each(
                producer,
                audit,
                endpoint_id,
                lambda ledger: ledger.webhooks.rotate(endpoint_id, secret, now, now + kept_ms),
            )
        except DataSealed as error:
            what, do = f"{endpoint_id}: the former secret {error}", f"gaugepost webhooks rotate {endpoint_id} --keep 0s"
            raise Failure(Exit.FAILED, what, f"{do} does without it") from None
    if as_json:
        write_row({"id": endpoint_id, "secret": secret})
        return
    sys.stdout.write(secret + "\n")
    then = f"the former one signs for {keep} more" if kept_ms else "the former one signs no more"
    note(f"{endpoint_id}: keep the secret, it cannot be shown again; {then}")


@app.command("test")
def send_test(
    endpoint_id: Id,
    wait: Annotated[float, typer.Option(min=1, max=300, help="How long to wait for the answer.", metavar="S")] = 30,
    *,
    as_json: AsJson = False,
) -> int:
    """Let a worker send the event `webhook.test`, and show what the receiver answered. Exit code 1: it failed.

    Example: `gaugepost webhooks test wh-0f8fad5bd9cb`
    """
    with audited_producer("webhooks test", target=endpoint_id) as (producer, audit):
        ledger, endpoint = _find(producer, endpoint_id)
        audit.begin(ledger.region)
        event_id = ledger.webhooks.test(endpoint_id)
        if event_id is None:
            why = endpoint.disabled[1] if endpoint.disabled else "it was removed meanwhile"
            raise Failure(
                Exit.FAILED, f"{endpoint_id} is disabled: {why}", f"gaugepost webhooks retry {endpoint_id} enables it"
            )
        audit.count(ledger.region)
        try:
            error = _outcome(ledger, endpoint_id, event_id, wait)
        finally:  # also after Ctrl-C: a test that failed is no failure of the endpoint
            ledger.webhooks.forget(endpoint_id, event_id)
        row = {
            "id": endpoint_id,
            "event": event_id,
            "region": str(ledger.region),
            "sent": error is None,
            "error": error,
        }
        if as_json:
            write_row(row)
        else:
            sys.stdout.write(printable(f"{endpoint_id}: {'delivered' if error is None else error}") + "\n")
        return audit.ended(Exit.DONE if error is None else Exit.FAILED)


def _outcome(ledger: Ledger, endpoint_id: str, event_id: str, wait: float) -> str | None:
    """Wait until an event is delivered; return None, or why it is not."""
    ends = time.monotonic() + wait
    while time.monotonic() < ends:
        event = ledger.webhooks.event(endpoint_id, event_id)
        if event is None:
            return None
        if event.error is not None:
            return event.error
        time.sleep(_POLL_S)
    return _why_not_sent(ledger, endpoint_id, wait)


def _why_not_sent(ledger: Ledger, endpoint_id: str, wait: float) -> str:
    endpoint = ledger.webhooks.find(endpoint_id)
    if endpoint is not None and endpoint.numbers.sealed_since:
        return str(endpoint.numbers.error)
    if not ledger.presence().workers:
        return f"no worker of {ledger.region} runs: see `gaugepost status`"
    return f"no worker of {ledger.region} has sent it within {wait:g} s: the receiver answers earlier events slowly"


@app.command("failures")
def failures(
    endpoint_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only those of this endpoint.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many of an endpoint.", metavar="N")] = 100,
    *,
    as_json: AsJson = False,
) -> None:
    """List events that failed: those that were given up, and those that are sent again later.

    Example: `gaugepost webhooks failures wh-0f8fad5bd9cb --json`
    """
    found = 0
    with open_producer() as producer:
        regions = RegionLedgers(producer)
        for ledger, endpoint in _all(regions):
            if endpoint_id in {None, endpoint.id}:
                for event in ledger.webhooks.failures(endpoint.id, limit):
                    found += 1
                    row = failure_row(event, endpoint.id, str(ledger.region))
                    write_row(row) if as_json else sys.stdout.write(printable(line_of_failure(row)) + "\n")
        sys.stdout.flush()
        regions.require_all_reached()
    if not found and not as_json:
        note("no failures")


@app.command("retry")
def retry(
    endpoint_id: Id,
    event: Annotated[str, typer.Option(help="Only this event; default: all that failed.", metavar="EVENT")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Send the events that failed again now, and enable the endpoint if it is disabled.

    Example: `gaugepost webhooks retry wh-0f8fad5bd9cb`
    """
    with audited_producer("webhooks retry", target=endpoint_id) as (producer, audit):
        numbers: dict[str, int] = {}

        def retry_in(ledger: Ledger) -> bool:
            number = ledger.webhooks.retry(endpoint_id, event)
            numbers[str(ledger.region)] = number or 0
            return number is not None

        _in_each(producer, audit, endpoint_id, retry_in)
    if as_json:
        write_row({"id": endpoint_id, "retried": sum(numbers.values()), "by_region": numbers})
        return
    sys.stdout.write(f"{endpoint_id}: enabled, {sum(numbers.values()):,} events are sent again\n")


def _all(regions: RegionLedgers) -> Iterator[tuple[Ledger, Endpoint]]:
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            for endpoint in ledger.webhooks.read():
                yield ledger, endpoint


def _find(producer: Producer, endpoint_id: str) -> tuple[Ledger, Endpoint]:
    """Return an endpoint and the ledger of the first region that has it. Raises Failure."""
    regions = RegionLedgers(producer)
    for ledger, endpoint in _all(regions):
        if endpoint.id == endpoint_id:
            return ledger, endpoint
    regions.require_all_reached()
    raise _absent(endpoint_id)


def _absent(endpoint_id: str) -> Failure:
    return Failure(Exit.FAILED, f"{endpoint_id}: no such webhook", "`gaugepost webhooks list` lists all")


def _in_each(producer: Producer, audit: Recording, endpoint_id: str, change: Callable[[Ledger], bool]) -> list[str]:
    """Change an endpoint in each region that has it; return these regions. Raises Failure if there is none."""
    regions, done = RegionLedgers(producer), list[str]()
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            if ledger.webhooks.get(endpoint_id) is not None:
                audit.begin(ledger.region)
                if change(ledger):
                    audit.count(ledger.region)
                    done.append(str(ledger.region))
    regions.require_all_reached()
    if not done:
        raise _absent(endpoint_id)
    return done
