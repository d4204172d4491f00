"""Settings of monitoring: metrics, logs, heartbeat files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gaugepost.settings.group import Group


class MonitoringSettings(Group):
    """Monitoring: metrics, logs and heartbeats."""

    metrics_port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65_535,
            description="port on which a worker or beat serves [metrics](docs/monitoring.md); each further process "
            "uses the next port. Without it there are no metrics",
        ),
    ] = None
    metrics_address: Annotated[str, Field(min_length=1, description="address on which metrics are served")] = (
        "127.0.0.1"
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="lowest level that is logged; each attempt is logged at `info`"),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "text"],
        Field(description="`text`, `json`, or `auto`: `text` on a terminal, `json` elsewhere"),
    ] = "auto"
    run_dir: Annotated[
        Path | None,
        Field(
            description="folder of the heartbeat files that `gaugepost health` reads; without it, a folder in the "
            "temporary directory"
        ),
    ] = None
