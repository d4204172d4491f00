"""Flower's own options: what its pages show and how much it keeps. Who may see them is not decided here.

What `gaugepost flower` takes without `--conf`, and `ops/flowerconfig.py`, with which deployments start it, begins with.
Address, login and read-only are settings of gaugepost, and no file changes them.
"""

tasks_columns = "name,state,exception,worker,received,runtime,uuid"
max_tasks = 20_000  # jobs kept in memory, some 4 kB each; the ledger has all of them
purge_offline_workers = 600  # seconds; a worker's name has its process id in it, so each restart leaves one behind
inspect_timeout = 2000.0  # milliseconds; the default, 1000, is short for a worker on the other side of an ocean
