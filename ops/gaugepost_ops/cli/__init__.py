"""The command line (extra `cli`). It imports typer and rich late, to report that they are missing."""

from __future__ import annotations

import sys
from importlib import import_module

_NEEDS = frozenset({"typer", "rich"})


def main() -> None:
    """Run the console script `gaugepost`. Always raises SystemExit, with a code of `common.Exit`."""
    try:
        run = import_module("gaugepost_ops.cli.app").run
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _NEEDS:
            raise
        sys.stderr.write(f"gaugepost needs a package that is not installed ({missing.name})\n")
        sys.stderr.write("  pip install 'gaugepost[cli]'\n")
        raise SystemExit(2) from None
    run()
