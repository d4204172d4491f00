"""Connect to public addresses only, and to networks that the operator allows.

A user chooses the URL of a webhook. Without this guard the user could make a worker call services inside its network,
or the metadata service of its cloud. The guard checks the address and not the name, and connects to the address that
it checked: a name server may give another address a moment later.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gaugepost.addresses import Network
    from gaugepost_tasks.http.exchange import Origin


class AddressRefused(OSError):  # noqa: N818 - a refusal, not a fault
    """The address is not public, and no setting allows it; or http:// is not allowed for it."""


class NetworkGuard:
    """Opens connections for `DirectAdapter`. `networks`: those that are allowed although they are not public.

    `resolve`: as `socket.getaddrinfo`.
    """

    def __init__(self, networks: Iterable[Network] = (), resolve: Callable[..., Any] = socket.getaddrinfo) -> None:
        self._networks = tuple(networks)
        self._resolve = resolve

    def open(self, origin: Origin, timeout: float) -> socket.socket:
        """Resolve the host once, check all its addresses, and connect to one of them within `timeout` seconds.

        Raises AddressRefused if any of its addresses is refused, and OSError.
        """
        found = self._resolve(origin.host, origin.port, type=socket.SOCK_STREAM)
        for *_, place in found:
            self._check(origin.scheme, place[0])
        ends = time.monotonic() + timeout
        failure: OSError = OSError("the host has no address")
        for family, kind, protocol, _, place in found:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(max(ends - time.monotonic(), 0.001))
                sock.connect(place)
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        raise failure

    def check_name(self, origin: Origin) -> None:
        """Check what can be checked without resolving a name: an address in the URL, `localhost`, and http://.

        For requests through a proxy, which resolves names itself. Raises AddressRefused.
        """
        from gaugepost.addresses import numeric  # noqa: PLC0415 - as below

        if (address := numeric(origin.host)) is not None:
            self._check(origin.scheme, address)
        elif origin.scheme != "https":
            raise AddressRefused("http:// is not allowed for a name behind a proxy")

    def _check(self, scheme: str, address: str) -> None:
        from gaugepost.addresses import refusal  # noqa: PLC0415 - `DirectAdapter` also runs without gaugepost

        if (why := refusal(scheme, address, self._networks)) is not None:
            raise AddressRefused(why)
