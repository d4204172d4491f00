"""`python -m gaugepost_workers`: the parts as processes, without a console script on the PATH."""

from __future__ import annotations

import sys

import typer

from gaugepost.cli.common import exit_code, note
from gaugepost.errors import GaugepostError
from gaugepost_workers import commands
from gaugepost_workers.supervisor import end_with_supervisor

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
for command in (commands.worker, commands.beat, commands.flower, commands.up, commands.check, commands.demo):
    app.command()(command)
app.command()(commands.exporter)

if __name__ == "__main__":
    end_with_supervisor()
    try:
        app()
    except GaugepostError as error:
        note(str(error))
        sys.exit(exit_code(error))
