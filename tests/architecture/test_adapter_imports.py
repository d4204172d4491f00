"""Mount the adapter of `gaugepost_tasks.http` without an installed gaugepost, as `make bench` does."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.starts_process
def test_direct_adapter_imports_neither_gaugepost_nor_its_stack() -> None:
    code = (
        "import sys; from gaugepost_tasks.http.direct import DirectAdapter; DirectAdapter();"
        "print({'gaugepost', 'pydantic', 'redis', 'celery', 'structlog'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
