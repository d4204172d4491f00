"""`python -m gaugepost`: the same as the console script `gaugepost`."""

from __future__ import annotations

from gaugepost.cli import main

if __name__ == "__main__":
    main()
