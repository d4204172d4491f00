"""Settings of the requests to CustomerGauge: deadlines, proxy, TLS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gaugepost.settings.group import PREFIX, Group
from gaugepost.settings.types import Seconds

if TYPE_CHECKING:
    from gaugepost.regions import Region

_PROXY = re.compile(
    r"https?://(?:[!-.0-9;-?A-~]+:[!-.0-9;-?A-~]*@)?(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?"
)


def _proxy(secret: SecretStr) -> SecretStr:
    """Check the URL of a proxy. Raises ValueError, which never quotes the URL: it may contain a password."""
    url = secret.get_secret_value()
    expected = "expected http:// or https://, then user:password@ (if the proxy needs a login), host and port"
    if not _PROXY.fullmatch(url):
        raise ValueError(f"{expected}; write @ : / in a password as %40 %3A %2F")
    try:
        parts = urlsplit(url)
        _ = parts.port
        unquote(f"{parts.username}{parts.password}").encode("latin-1")
    except ValueError:
        raise ValueError(f"{expected}; user and password may have Latin-1 characters only") from None
    return secret


ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]


class RequestSettings(Group):
    """Requests: deadlines, proxy and TLS."""

    connect_timeout: Annotated[Seconds, Field(description="seconds to wait for a connection")] = 5.0
    read_timeout: Annotated[Seconds, Field(description="seconds to wait for the next byte of an answer")] = 30.0
    proxy_url: Annotated[
        ProxyUrl | None,
        Field(
            description="URL of the [egress proxy](docs/deployment.md#behind-an-egress-proxy) for CustomerGauge: "
            "`http://proxy:3128` or `http://user:password@proxy:3128`. gaugepost ignores `HTTPS_PROXY`"
        ),
    ] = None
    proxy_url_eu: Annotated[
        ProxyUrl | None, Field(description="URL of the proxy of one region; it replaces `PROXY_URL`")
    ] = None
    proxy_url_us: Annotated[ProxyUrl | None, Field(description="as for eu")] = None
    proxy_url_au: Annotated[ProxyUrl | None, Field(description="as for eu")] = None
    ca_file: Annotated[
        Path | None,
        Field(
            description="PEM file of the certificate authorities that verify CustomerGauge and an https:// proxy; "
            "without it, certifi's"
        ),
    ] = None
    client_cert: Annotated[
        Path | None, Field(description="PEM file of the workers' client certificate (mutual TLS)")
    ] = None
    client_key: Annotated[
        Path | None,
        Field(description="PEM file of its private key, without a passphrase; not needed if `CLIENT_CERT` has the key"),
    ] = None
    http_adapter: Annotated[
        Literal["direct", "urllib3"],
        Field(
            description="how workers send: `direct` is faster; `urllib3` is the standard transport of requests, which "
            "a proxy always uses"
        ),
    ] = "direct"

    @model_validator(mode="after")
    def _check_client_key(self) -> Self:
        if self.client_key and not self.client_cert:
            raise ValueError(f"client_key: needs {PREFIX}CLIENT_CERT")
        return self

    def proxy(self, region: Region) -> SecretStr | None:
        """Return the URL of a region's proxy; None means a direct connection."""
        own: SecretStr | None = getattr(self, f"proxy_url_{region}")
        return own or self.proxy_url
