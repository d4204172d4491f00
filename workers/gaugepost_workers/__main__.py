"""`python -m gaugepost_workers`: the parts as processes, without a console script on the PATH."""

from __future__ import annotations

import typer

from gaugepost_workers import commands

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
for command in (commands.worker, commands.beat, commands.flower, commands.up, commands.check, commands.demo):
    app.command()(command)

if __name__ == "__main__":
    app()
