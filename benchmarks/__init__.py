"""Measure how fast gaugepost is beside other queues and bare loops, on one machine and in one run.

    make bench                                                  all parts; writes RESULTS.md, the plot and the README
    make bench BENCH=--quick                                    check in two minutes that it works
    make bench BENCH="drain --only gaugepost,taskiq --runs 1 --jobs 3000"
    make bench BENCH="trace --out /tmp/trace"                   where the time of a single job goes

Every target does the same job: a producer process sends 500 bytes of JSON through Redis to a worker. The worker PUTs
them to one stub with a Bearer token, and stores that it sent them. Targets take turns (A B C A B C ...). Each turn has
a Redis of its own, and other load on the machine hits all targets alike. Compare ratios; absolute figures are context.
Queues are compared on the same HTTP client (`targets.py`).

Modules that run in a target's environment (`queues/`, `produce.py`, `stub.py`, `job.py`) import only packages of that
environment. The measuring modules need only gaugepost's own. Linux only: CPU times and memory come from /proc.
"""
