"""The options by which commands find jobs: values of a person or of an order."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

_STDIN = "-"

OR_STDIN = "`-`: read it from stdin, since every user of this machine can read the arguments of a command."
KeyOption = Annotated[str | None, typer.Option(help="Only jobs with this idempotency key.", metavar="K")]
LabelOption = Annotated[str | None, typer.Option(help="Only jobs with this label.", metavar="L")]
BatchOption = Annotated[str | None, typer.Option(help="Only jobs of this batch.", metavar="B")]
CaseOption = Annotated[str | None, typer.Option(help="Only changes of this case.", metavar="N")]
EmailOption = Annotated[str | None, typer.Option(help=f"Only jobs of this e-mail address. {OR_STDIN}", metavar="E")]
PhoneOption = Annotated[str | None, typer.Option(help=f"Only jobs of this phone number. {OR_STDIN}", metavar="P")]


def given_value(value: str) -> str:
    """Return a value of the command line; `-` reads it from stdin."""
    return sys.stdin.readline().strip("\r\n") if value == _STDIN else value
