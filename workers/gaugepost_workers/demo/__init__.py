"""`gaugepost demo`: everything on this machine alone, against the simulator, and a table of what became of each job.

`cast.py` says which jobs there are and what `docs/policy.md` makes of them, `stage.py` starts and stops the parts,
`play.py` sends the jobs and waits, `outcome.py` compares, `report.py` shows.
"""

from __future__ import annotations

from gaugepost_workers.demo.run import run_demo

__all__ = ["run_demo"]
