"""`gaugepost demo`: run everything on this machine, against the simulator, and print a table of all jobs.

`scenarios.py` lists the jobs with the outcomes that `docs/policy.md` promises, `environment.py` starts and stops the
processes, `job_runner.py` enqueues the jobs and waits, `gateway.py` sends one by HTTP, `outcome.py` compares,
`report.py` prints. `kept_jobs.py` adds jobs that are under way, if the demo is kept.
"""

from __future__ import annotations

from gaugepost_ops.demo.run import run_demo

__all__ = ["run_demo"]
