"""The command line (extra `cli`). Only `main` is here, so that it can say what is missing without typer and rich."""

from __future__ import annotations

import sys
from importlib import import_module

_NEEDS = frozenset({"typer", "rich"})


def main() -> None:
    """Run the command line: the console script `gaugepost`. Always ends with SystemExit; codes as in `common.Exit`."""
    try:
        run = import_module("gaugepost_ops.cli.app").run
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _NEEDS:
            raise
        sys.stderr.write("The command line needs more: pip install 'gaugepost[cli]'\n")
        raise SystemExit(2) from None
    run()
