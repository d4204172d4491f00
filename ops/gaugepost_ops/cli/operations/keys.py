"""`gaugepost keys`: the keys with which services call the HTTP gateway."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaugepost import durations
from gaugepost.errors import InvalidJob, StoreError
from gaugepost.jobs import FileDelete
from gaugepost.ledger.api_keys import MOST_PER_SECOND, NAME, ApiKey, Scope, digest_of, new_secret
from gaugepost.regions import Region
from gaugepost_ops.cli.audited import audited_producer
from gaugepost_ops.cli.common import AsJson, Exit, Failure, RegionLedgers, note, open_producer, served, write_row
from gaugepost_ops.cli.output.formatting import clock, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gaugepost.client import Producer
    from gaugepost_ops.cli.audited import Recording

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the key, such as that of its service.")]
_CALL = "gaugepost keys list"


@app.callback()
def keys() -> None:
    """Create, list and revoke the keys with which services call `gaugepost serve`.

    Example: `gaugepost keys create crm --scope enqueue --scope read`
    """


@app.command("create")
def create(
    name: Name,
    scope: Annotated[list[Scope] | None, typer.Option(help="What it may do; default: enqueue.")] = None,
    region: Annotated[list[Region] | None, typer.Option(help="Where; default: all of GAUGEPOST_REGIONS.")] = None,
    source: Annotated[str | None, typer.Option(help="The source of each job that it enqueues.", metavar="S")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: 90d, 12h.", metavar="T")] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, max=MOST_PER_SECOND, help="Requests a second, at most.", metavar="N")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Create a key, and print it. It is shown only once: Redis stores only its hash.

    Example: `gaugepost keys create crm --scope enqueue --scope read --source crm --expires 90d`
    """
    with audited_producer("keys create", target=name) as (producer, audit):
        regions = tuple(served(producer.settings, one) for one in region or producer.settings.regions)
        _check(name, source)
        _refuse_taken(producer, name)
        secret, now = new_secret(), int(time.time() * 1000)
        key = ApiKey(
            name=name,
            digest=digest_of(secret),
            scopes=tuple(dict.fromkeys(scope or [Scope.ENQUEUE])),
            regions=tuple(dict.fromkeys(map(str, regions))),
            source=source,
            expires=None if expires is None else now + _life(expires),
            rate=rate,
            created=now,
            by=audit.actor,
        )
        _store(producer, audit, key)
    _print_new(key, secret, as_json=as_json)


@app.command("list")
def list_keys(*, as_json: AsJson = False) -> None:
    """List all keys, never their secrets: what each may do, where, until when, and when it was last used.

    Example: `gaugepost keys list --json`
    """
    with open_producer() as producer:
        regions = RegionLedgers(producer)
        found = _merged(regions)
        for key in found:
            if as_json:
                write_row(key.to_dict())
            else:
                sys.stdout.write(printable(_line(key)) + "\n")
        sys.stdout.flush()
        regions.require_all_reached()
    if not found and not as_json:
        note("no keys; `gaugepost keys create NAME` makes one")


@app.command("revoke")
def revoke(name: Name) -> int:
    """Revoke a key. The gateways refuse it within a second. Exit code 1: there is no such key.

    If the Redis of a region is away, the key is revoked in the others, and the exit code is 3: call it again later.

    Example: `gaugepost keys revoke crm`
    """
    with audited_producer("keys revoke", target=name) as (producer, audit):
        regions, revoked = RegionLedgers(producer), []
        for ledger in regions.ledgers():
            with regions.skip_unreachable(ledger.region):
                if any(key.name == name for key in ledger.api_keys.read().keys):
                    audit.begin(ledger.region)
                    ledger.api_keys.drop(name)
                    audit.count(ledger.region)
                    revoked.append(ledger.region)
        if revoked:
            sys.stdout.write(f"{name}: revoked in {', '.join(revoked)}\n")
            sys.stdout.flush()
        regions.require_all_reached()
        if not revoked:
            raise Failure(Exit.FAILED, f"no key {name}", f"`{_CALL}` lists all keys")
    return Exit.DONE


def _check(name: str, source: str | None) -> None:
    """Check the texts of a new key. Raises Failure."""
    if not NAME.fullmatch(name):
        raise Failure(Exit.USAGE, "NAME: expected 1 to 64 letters, digits, _, . and -, a letter or digit first")
    if source is not None:
        _check_source(source)


def _check_source(source: str) -> None:
    """Check a source as a job does. Raises Failure."""
    try:
        FileDelete(region=Region.EU, upload_id=1, source=source)
    except InvalidJob as refused:
        raise Failure(Exit.USAGE, f"--source: {refused.problems[0].expected}") from None


def _life(text: str) -> int:
    """Return the life of a key in ms. Raises Failure."""
    try:
        life = int(durations.seconds(text) * 1000)
    except (ValueError, OverflowError):
        life = 0
    if not 0 < life <= _LONGEST_MS:
        raise Failure(Exit.USAGE, "--expires: expected a duration such as 12h or 90d, at most 3650d")
    return life


_LONGEST_MS = 3650 * 86_400_000


def _refuse_taken(producer: Producer, name: str) -> None:
    """Raise Failure if a region has a key of this name."""
    for region in producer.settings.regions:
        if any(key.name == name for key in producer.ledger(region).api_keys.read().keys):
            raise _taken(name)


def _taken(name: str) -> Failure:
    return Failure(
        Exit.FAILED, f"there is a key {name} already", f"choose another name, or: gaugepost keys revoke {name}"
    )


def _store(producer: Producer, audit: Recording, key: ApiKey) -> None:
    """Store a key in all its regions. If one region refuses it, delete it from the others."""
    stored: list[Region] = []
    try:
        for region in map(Region, key.regions):
            audit.begin(region)
            if not producer.ledger(region).api_keys.put(key):
                raise _taken(key.name)
            stored.append(region)
            audit.count(region)
    except (Failure, StoreError):
        for region in stored:
            producer.ledger(region).api_keys.drop(key.name)
        raise


def _print_new(key: ApiKey, secret: str, *, as_json: bool) -> None:
    if as_json:
        row = key.to_dict()
        shown: dict[str, Any] = {name: row[name] for name in ("scopes", "regions", "source", "expires_at", "rate")}
        write_row({"name": key.name, "key": secret, **shown})
        return
    sys.stdout.write(secret + "\n")
    note(f"{_line(key)}. Keep the key: it cannot be shown again")


def _merged(regions: RegionLedgers) -> list[ApiKey]:
    """Return the keys of all regions, each once, with its latest use; in the order of their creation."""
    found: dict[str, list[ApiKey]] = {}
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            for key in ledger.api_keys.read().keys:
                found.setdefault(key.digest, []).append(key)
    return sorted(map(_latest, found.values()), key=lambda key: (key.created, key.name))


def _latest(copies: Iterable[ApiKey]) -> ApiKey:
    return max(copies, key=lambda key: key.used or 0)


def _line(key: ApiKey) -> str:
    """Return a key for people: `crm: enqueue, read in eu; source crm; until …`."""
    facts = [
        f"{key.name}: {', '.join(key.scopes) or 'nothing that this version knows'} in {', '.join(key.regions)}",
        f"source {key.source}" if key.source else "",
        f"at most {key.rate:,} requests a second" if key.rate else "",
        f"{'expired at' if key.expires <= time.time() * 1000 else 'until'} {clock(key.expires)}" if key.expires else "",
        f"last used at {clock(key.used)}" if key.used else "",
    ]
    return "; ".join(filter(None, facts))
