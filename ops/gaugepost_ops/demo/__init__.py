"""`gaugepost demo`: everything on this machine alone, against the simulator, and a table of what became of each job.

`scenarios.py` lists the jobs and what `docs/policy.md` makes of each, `environment.py` starts and stops the parts,
`job_runner.py` sends the jobs and waits, `outcome.py` compares, `report.py` prints.
"""

from __future__ import annotations

from gaugepost_ops.demo.run import run_demo

__all__ = ["run_demo"]
