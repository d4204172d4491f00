"""Run the command line: `python -m gaugepost_ops` does the same as the console script `gaugepost`."""

from __future__ import annotations

from gaugepost_ops.cli import main

if __name__ == "__main__":
    main()
