"""A folder for the embedded Redis."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from gaugepost_ops import embedded_redis
from support.embedded_redis import servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder for the server; stop or kill every server after the test."""
    yield tmp_path / ".gaugepost"
    embedded_redis.leave(tmp_path / ".gaugepost")
    for pid in servers(tmp_path):
        with contextlib.suppress(ProcessLookupError):  # it may just have ended
            os.kill(pid, signal.SIGKILL)
