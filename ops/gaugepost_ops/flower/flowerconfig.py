"""Flower's own options: what its pages show and how much it keeps.

`gaugepost flower` uses this file without `--conf`; `ops/flowerconfig.py`, which deployments use, imports it. Address,
login and read-only are settings of gaugepost, and this file cannot change them.
"""

tasks_columns = "name,state,exception,worker,received,runtime,uuid"
max_tasks = 20_000  # jobs that Flower keeps in memory, about 4 kB each; the ledger has all jobs
purge_offline_workers = (
    600  # seconds; a worker's name contains its process id, so each restart leaves an offline worker
)
inspect_timeout = 2000.0  # milliseconds; the default, 1000, is too short for a worker on another continent
