"""Parse sentinel URLs: `sentinel://[user][:password]@host[:port],host[:port]/master[/db]`, with TLS `sentinels://…`.

redis-py has no URL for sentinels, and kombu's has one host and no name of the master. gaugepost uses this form for
both. User and password are those of Redis. The query has those of the sentinels
(`?sentinel_username=…&sentinel_password=…`) and options of TLS (`ssl_ca_certs=…`). TLS always verifies certificates.
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
    """A parsed sentinel URL. Its repr has no password."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    db: int
    tls: bool
    login: Mapping[str, str] = field(default_factory=dict, repr=False)
    """`username` and `password` of Redis; each is missing if the URL has none."""
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
        """Return redis-py's TLS options except `ssl`; empty without TLS."""
        given = {name: value for name, value in self.options.items() if name.startswith("ssl_")}
        return {"ssl_cert_reqs": "required"} | given if self.tls else {}

    def sentinel_options(self) -> dict[str, Any]:
        """Return redis-py's options for connections to the sentinels."""
        login = {name.removeprefix("sentinel_"): value for name, value in self.options.items() if "sentinel_" in name}
        return login | ({"ssl": True} | self.ssl() if self.tls else {})

    def kombu_url(self) -> str:
        """Return the URL in kombu's form: one URL for each sentinel; kombu takes the master's name from an option."""
        login = ":".join(quote(self.login.get(name, ""), safe="") for name in ("username", "password"))
        at = f"{login}@" if self.login else ""
        addresses = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return ";".join(f"sentinel://{at}{address}/{self.db}" for address in addresses)
