"""Fork a process with a producer: each child opens its own connections, whatever the parent's threads do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gaugepost import JobState, Producer, Settings

pytestmark = pytest.mark.usefixtures("bare_environment")

CHILDREN = 150

# The threads keep the locks of the parent's connection pool busy, so that some children inherit a lock that is held.
PROGRAM = """
import os, signal, sys, threading
from gaugepost import Producer, Record, Region, Settings

def record():
    return Record(region=Region.EU, configuration="map", record={"Email": "a@example.com"})

def busy():
    producer.enqueue(record())
    warm.wait()  # until all has been imported: Python itself cannot fork in the middle of an import
    while not ended.is_set():
        producer.state(producer.enqueue(record()).id)

producer = Producer(Settings.given(redis_url=sys.argv[1]))
ended, warm = threading.Event(), threading.Barrier(9)
threads = [threading.Thread(target=busy) for _ in range(8)]
for thread in threads:
    thread.start()
warm.wait()
children = []
for _ in range(int(sys.argv[2])):
    if pid := os.fork():
        children.append(pid)
        continue
    signal.alarm(20)  # ends a child that hangs
    try:
        with producer:
            os.write(1, producer.enqueue(record()).id.encode() + b'\\n')
    finally:
        os._exit(0)
ended.set()
for thread in threads:
    thread.join()
for pid in children:
    os.waitpid(pid, 0)
"""


def test_children_forked_under_busy_threads_all_enqueue(redis_url: str) -> None:
    program = [sys.executable, "-W", "ignore", "-c", PROGRAM, redis_url, str(CHILDREN)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=100, check=False)
    ids = done.stdout.split()
    assert (len(set(ids)), done.stderr) == (CHILDREN, "")
    with Producer(Settings.load(redis_url=redis_url)) as producer:
        assert {producer.state(job_id) for job_id in ids} == {JobState.QUEUED}
