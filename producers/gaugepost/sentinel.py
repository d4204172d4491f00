"""Sentinel URLs: `sentinel://[user][:password]@host[:port],host[:port]/master[/db]`, over TLS `sentinels://…`.

redis-py has no URL for a Redis that sentinels watch over, and kombu's has one host each and no master's name; so this
is the form for both. User and password are Redis' own; those of the sentinels, where they have any, follow as
`?sentinel_username=…&sentinel_password=…`, as do options of TLS (`ssl_ca_certs=…`), which is always verified.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, quote, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES = ("sentinel://", "sentinels://")
_PORT = 26379
_LAST_PORT = 65535
# Not urlsplit: newer versions of Python refuse several hosts of which one is an IPv6 address in brackets.
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<name>[^\s\[\]:]+))(?::(?P<port>[0-9]{1,5}))?")
_FORM = re.compile(
    r"sentinels?://(?:(?P<login>[^/?#]*)@)?(?P<hosts>[^/?#@]+)/(?P<master>[^/?#]+)(?:/(?P<db>[0-9]*))?(?:\?(?P<query>[^#]*))?"
)
_OPTIONS = frozenset({"sentinel_username", "sentinel_password", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})


def _host(text: str) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = int((found and found["port"]) or _PORT)
    if found is None or not 0 < port <= _LAST_PORT:
        raise ValueError("no host, or no such port")
    return (found["address"] or found["name"]).lower(), port


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """One such URL, taken apart. Shows no password when it is printed."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    db: int
    tls: bool
    login: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Redis' own `username` and `password`, as far as they are given."""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a URL apart. Raises ValueError, whose text must not be shown: it may hold a password."""
        form = _FORM.fullmatch(text)
        options = dict(parse_qsl(form["query"], strict_parsing=True)) if form and form["query"] else {}
        if form is None or not options.keys() <= _OPTIONS:
            raise ValueError("no master, no such database, or an unknown option")
        user, _, password = (form["login"] or "").partition(":")
        known = {"username": unquote(user), "password": unquote(password)}
        return cls(
            hosts=tuple(_host(host) for host in form["hosts"].split(",")),
            master=unquote(form["master"]),
            db=int(form["db"] or 0),
            tls=text.startswith("sentinels://"),
            login={name: value for name, value in known.items() if value},
            options=options,
        )

    def ssl(self) -> dict[str, str]:
        """Return the options of TLS, without the switch itself; empty where there is none."""
        given = {name: value for name, value in self.options.items() if name.startswith("ssl_")}
        return {"ssl_cert_reqs": "required"} | given if self.tls else {}

    def sentinel_options(self) -> dict[str, Any]:
        """Return what the connections to the sentinels themselves need."""
        login = {name.removeprefix("sentinel_"): value for name, value in self.options.items() if "sentinel_" in name}
        return login | ({"ssl": True} | self.ssl() if self.tls else {})

    def kombu_url(self) -> str:
        """Return it as kombu has it: a whole URL for each sentinel, the master's name elsewhere."""
        login = ":".join(quote(self.login.get(name, ""), safe="") for name in ("username", "password"))
        at = f"{login}@" if self.login else ""
        places = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return ";".join(f"sentinel://{at}{place}/{self.db}" for place in places)
