"""`gaugepost users`: the people who sign in to the console."""

from __future__ import annotations

import secrets
import sys
import time
from getpass import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost import durations
from gaugepost.errors import StoreError
from gaugepost.ledger.users import NAME, Role, User
from gaugepost.regions import Region
from gaugepost_ops.cli.audited import audited_producer
from gaugepost_ops.cli.common import AsJson, Exit, Failure, RegionLedgers, note, open_producer, write_row
from gaugepost_ops.cli.output.formatting import clock, printable, span
from gaugepost_ops.passwords import LONGEST, SHORTEST, hash_password

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.client import Producer
    from gaugepost.ledger import Ledger
    from gaugepost_ops.cli.audited import Recording

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name with which the person signs in.")]
_CALL = "gaugepost users list"
_LONGEST_LINK_S = 86_400


@app.callback()
def users() -> None:
    """Add, list and remove the people who sign in to the console of `gaugepost serve`.

    Example: `gaugepost users add ann --role operator`
    """


@app.command("add")
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="viewer reads, operator also changes jobs, admin also settings.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Add a user. The password is asked in the terminal, or read from stdin: a line of at least 12 characters.

    Example: `gaugepost users add ann --role operator < password.txt`
    """
    with audited_producer("users add", target=name) as (producer, audit):
        if not NAME.fullmatch(name):
            raise Failure(Exit.USAGE, "NAME: expected 1 to 64 letters, digits, _, ., @ and -, a letter or digit first")
        for region in producer.settings.regions:
            if _found(producer.ledger(region), name):
                raise _taken(name)
        user = User(name, role, hash_password(_password()), int(time.time() * 1000), audit.actor)
        _store(producer, audit, user)
    if as_json:
        write_row(user.to_dict())
    else:
        sys.stdout.write(f"{_line(user)}\n")


@app.command("list")
def list_users(*, as_json: AsJson = False) -> None:
    """List all users and their roles.

    Example: `gaugepost users list --json`
    """
    with open_producer() as producer:
        regions, found = RegionLedgers(producer), dict[str, User]()
        for ledger in regions.ledgers():
            with regions.skip_unreachable(ledger.region):
                found = {user.name: user for user in ledger.users.read()} | found
        for user in sorted(found.values(), key=lambda user: user.name):
            if as_json:
                write_row(user.to_dict())
            else:
                sys.stdout.write(printable(_line(user)) + "\n")
        sys.stdout.flush()
        regions.require_all_reached()
    if not found and not as_json:
        note("no users; `gaugepost users add NAME --role viewer` adds one")


@app.command("remove")
def remove(name: Name) -> int:
    """Remove a user, and end all sessions and links of the user. Exit code 1: there is no such user.

    If the Redis of a region is away, the user is removed in the others, and the exit code is 3: call it again later.

    Example: `gaugepost users remove ann`
    """
    with audited_producer("users remove", target=name) as opened:
        return _change(opened, name, lambda ledger: ledger.users.drop(name), "removed")


@app.command("password")
def password(name: Name) -> int:
    """Give a user a new password, and end all sessions and links of the user. It is asked as by `users add`.

    Example: `gaugepost users password ann`
    """
    hashed: list[str] = []

    def change(ledger: Ledger) -> bool:
        if not hashed:
            hashed.append(hash_password(_password()))
        user = _found(ledger, name)
        return user is not None and ledger.users.put(
            User(name, user.role, hashed[0], user.created, user.by), replace=True
        )

    with audited_producer("users password", target=name) as opened:
        return _change(opened, name, change, "password changed")


@app.command("sign-out")
def sign_out(name: Name) -> int:
    """End all sessions and links of a person, also of one who signs in by OpenID Connect.

    Example: `gaugepost users sign-out ann@example.com`
    """

    def change(ledger: Ledger) -> bool:
        ledger.users.sign_out(name)
        return True

    with audited_producer("users sign-out", target=name) as opened:
        return _change(opened, name, change, "signed out", must_exist=False)


@app.command("link")
def link(
    name: Name,
    valid: Annotated[str, typer.Option(help="For how long: 10m, 1h; at most 24h.", metavar="T")] = "10m",
    *,
    as_json: AsJson = False,
) -> None:
    """Print a link that signs a user in once, without a password.

    Example: `gaugepost users link ann --valid 15m`
    """
    try:
        seconds = durations.seconds(valid)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= _LONGEST_LINK_S:
        raise Failure(Exit.USAGE, "--valid: expected a duration such as 10m or 1h, at most 24h")
    with audited_producer("users link", target=name) as (producer, audit):
        url = f"{producer.settings.console_url or _LOCAL}/sign-in?link={_link(producer, audit, name, seconds)}"
    if as_json:
        write_row({"name": name, "url": url, "valid_s": seconds})
    else:
        sys.stdout.write(url + "\n")
        note(f"it signs {name} in once, within {span(seconds)}")


_LOCAL = "http://127.0.0.1:8080"


def _link(producer: Producer, audit: Recording, name: str, seconds: float) -> str:
    """Store a link in the first region whose Redis answers; its text begins with the region."""
    regions = RegionLedgers(producer)
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            if _found(ledger, name) is None:
                continue
            audit.begin(ledger.region)
            text = f"{ledger.region}.{secrets.token_urlsafe(32)}"
            if ledger.users.put_link(text, name, int(seconds * 1000)):
                audit.count(ledger.region)
                return text
    regions.require_all_reached()
    raise _absent(name)


def _change(
    opened: tuple[Producer, Recording],
    name: str,
    change: Callable[[Ledger], bool],
    done: str,
    *,
    must_exist: bool = True,
) -> Exit:
    """Change a user in each region. A region that is away is named, and the exit code is 3."""
    producer, audit = opened
    regions, changed = RegionLedgers(producer), list[Region]()
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            if must_exist and _found(ledger, name) is None:
                continue
            audit.begin(ledger.region)
            if change(ledger):
                audit.count(ledger.region)
                changed.append(ledger.region)
    if changed:
        sys.stdout.write(f"{printable(name)}: {done} in {', '.join(changed)}\n")
        sys.stdout.flush()
    regions.require_all_reached()
    if not changed:
        raise _absent(name)
    return Exit.DONE


def _found(ledger: Ledger, name: str) -> User | None:
    return next((user for user in ledger.users.read() if user.name == name), None)


def _store(producer: Producer, audit: Recording, user: User) -> None:
    """Store a user in all regions. If one region refuses it, remove it from the others."""
    stored: list[Region] = []
    try:
        for region in producer.settings.regions:
            audit.begin(region)
            if not producer.ledger(region).users.put(user):
                raise _taken(user.name)
            stored.append(region)
            audit.count(region)
    except (Failure, StoreError):
        for region in stored:
            producer.ledger(region).users.drop(user.name)
        raise


def _taken(name: str) -> Failure:
    return Failure(
        Exit.FAILED, f"there is a user {name} already", f"choose another name, or: gaugepost users remove {name}"
    )


def _absent(name: str) -> Failure:
    return Failure(Exit.FAILED, f"no user {name}", f"`{_CALL}` lists all users")


def _password() -> str:
    """Ask for a password in the terminal, or read the first line of stdin. Raises Failure."""
    if sys.stdin.isatty():
        given = getpass("Password: ")
        if getpass("Again: ") != given:
            raise Failure(Exit.USAGE, "the two passwords differ: nothing was changed")
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    if not SHORTEST <= len(given) <= LONGEST:
        raise Failure(
            Exit.USAGE, f"expected a password of {SHORTEST} to {LONGEST} characters, in the terminal or on stdin"
        )
    return given


def _line(user: User) -> str:
    """Return a user for people: `ann: operator; added at 14:05:00 by …`."""
    return f"{user.name}: {user.role}; added at {clock(user.created)} by {user.by}"
