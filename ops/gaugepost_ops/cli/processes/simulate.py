"""`gaugepost simulate`: replace this process by the simulator, which is a separate program."""

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

    Its first line is the address on which it listens. Other options go to the simulator, such as --print-env; python -m
    gaugepost_simulator --help lists them.

    Example: `gaugepost simulate --port 9000 --print-env`
    """
    import_module("gaugepost_simulator.__main__")  # if the extra is not installed, it fails here with a message
    sys.stdout.flush()
    program = [sys.executable, "-P", "-m", "gaugepost_simulator", "--port", str(port), *context.args]
    os.execv(sys.executable, program)  # noqa: S606 - no shell on purpose
