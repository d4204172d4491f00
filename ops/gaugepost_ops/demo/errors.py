"""The error of the demo."""

from __future__ import annotations

from gaugepost.errors import GaugepostError


class DemoFailed(GaugepostError):  # noqa: N818 - named for what it is about
    """The demo cannot go on."""
