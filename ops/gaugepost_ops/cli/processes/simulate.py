"""`gaugepost simulate`: hand this process over to the simulator, which is a program of its own."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated

import typer


def simulate(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of 127.0.0.1; 0 takes a free one.")] = 0,
) -> None:
    """Run the CustomerGauge simulator alone, until Ctrl-C.

    Its first line says where it listens. Further options go to the simulator: try --print-env, and
    python -m gaugepost_simulator --help for all of them.

    Example: `gaugepost simulate --port 9000 --print-env`
    """
    import_module("gaugepost_simulator.__main__")  # fails here, with a message, if the extra is not installed
    sys.stdout.flush()
    program = [sys.executable, "-P", "-m", "gaugepost_simulator", "--port", str(port), *context.args]
    os.execv(sys.executable, program)  # noqa: S606 - no shell on purpose
