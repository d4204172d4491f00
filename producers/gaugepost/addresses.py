"""Which IP addresses are public: those that webhooks may be sent to without a setting that allows them."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network
    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NEVER_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # protocol assignments, and the metadata service of one cloud
            "168.63.129.16/32",  # Azure's platform service has a public address
            "192.88.99.0/24",  # relays of 6to4
            "fec0::/10",  # site-local
            "3fff::/20",  # documentation
            "2001::/23",  # Teredo, ORCHID and others: an IPv4 address may be inside
            "100.64.0.0/10",  # shared by carriers; some clouds have their metadata service there
        ),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Its last 32 bits are the IPv4 address. In 64:ff9b:1::/48 each network chooses where it is: none of it is public."""
_ISATAP = 0x00005EFE
"""The bits before the IPv4 address of an ISATAP address, without the one that says whether it is global."""


def _embedded(address: Address) -> Iterator[Address]:
    """Yield the address, and the IPv4 address that an IPv6 address contains."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        found = address.ipv4_mapped or address.sixtofour
        before = int(address) >> 32
        is_isatap = before & 0xFDFFFFFF == _ISATAP
        if found is None and (address in _NAT64 or before == 0 or is_isatap):
            found = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if found is not None:
            yield found


def is_public(address: Address) -> bool:
    """Return whether an address, and the IPv4 address in it, is one of the public internet."""
    return all(
        one.is_global
        and not (one.is_multicast or one.is_unspecified or (one.is_reserved and one not in _NAT64))
        and not any(one in network for network in _NEVER_PUBLIC)
        for one in _embedded(address)
    )


def refusal(scheme: str, text: str, networks: Iterable[Network]) -> str | None:
    """Return why a URL of this scheme may not be sent to an address; None if it may. `networks`: those allowed."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if any(one in network for one in _embedded(address) for network in networks):
        return None
    if not is_public(address):
        return "the address is not public"
    return None if scheme == "https" else "http:// is not allowed for a public address"


def numeric(host: str) -> str | None:
    """Return a host as an address, from any form that a resolver takes: 127.1, 0x7f000001, ::1; None for a name."""
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)[0][4][0])
    except (OSError, UnicodeError):
        return None
