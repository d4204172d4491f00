"""How fast gaugepost is, told by ratios: beside other queues and bare loops, on one machine and in one run.

    make bench                                                  all of it, into RESULTS.md, the README and its plot
    make bench BENCH=--quick                                    whether it works, in two minutes
    make bench BENCH="drain --only gaugepost,taskiq --runs 1 --jobs 3000"
    make bench BENCH="trace --out /tmp/trace"                   where the time of a lone job goes

Everybody does the same job: 500 bytes of JSON go from a producer process over Redis to a worker, which PUTs them to
one stub with a Bearer token and then stores that they were sent. Contestants take turns (A B C A B C …), each turn on
a Redis of its own, so that whatever else the machine does meets all alike. Ratios count; absolutes are context. Queues
are compared on the same HTTP client (`targets.py`).

What runs in a contestant's environment (`queues/`, `produce.py`, `stub.py`, `job.py`) imports only what is installed
there; what measures needs only gaugepost's own. Linux only: it reads CPU times and memory from /proc.
"""
