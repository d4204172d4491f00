"""`gaugepost serve`. The command line finds it by name, so that nothing else imports this package."""

from __future__ import annotations

from typing import Annotated

import typer

from gaugepost.ledger.rights import Part
from gaugepost_ops.cli.processes.commands import process_settings
from gaugepost_workers.permissions import require_rights


def serve(
    host: Annotated[
        str, typer.Option(help="The address on which it listens. 0.0.0.0: on all, behind a proxy with TLS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 8080,
    *,
    proxy_headers: Annotated[
        bool,
        typer.Option("--proxy-headers", help="Believe X-Forwarded-For of a proxy on 127.0.0.1 or FORWARDED_ALLOW_IPS."),
    ] = False,
) -> None:
    """Serve the HTTP gateway: services in any language enqueue jobs and ask for results. `gaugepost keys` makes keys.

    Example: `gaugepost serve --host 0.0.0.0 --port 8080`
    """
    from gaugepost_ops.web.server import run  # noqa: PLC0415 - the extra `web`

    settings = process_settings(finds_embedded=True)
    require_rights(settings, Part.GATEWAY, settings.regions)
    raise typer.Exit(run(settings, host, port, proxy_headers=proxy_headers))
