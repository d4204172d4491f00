"""The shim over kombu's transport: needed, and enough.

A worker that holds an unacknowledged message (one with an eta, here) meets a Redis that restarts. With stock kombu
5.7.0 the worker process ends; with ours it goes on. When the first of these tests fails, the shim can go.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.stack import RedisServer
from support.wait import wait_until

APP = """
import sys
from celery import Celery
from kombu import Queue
url, transport, done = sys.argv[1:4]
app = Celery("t", broker=url, set_as_current=False)
app.conf.update(task_ignore_result=True, worker_pool="threads", broker_connection_max_retries=None,
    broker_connection_retry_on_startup=True, task_queues=[Queue("q")], task_default_queue="q",
    **({"broker_transport": transport} if transport else {}))
@app.task(name="t.touch")
def touch(name):
    open(f"{done}/{name}", "w").close()
if sys.argv[4] == "work":
    app.worker_main(["worker", "-c", "2", "--loglevel", "WARNING", "--without-gossip", "--without-mingle"])
else:
    app.send_task("t.touch", args=["later"], countdown=3600, queue="q") if sys.argv[4] == "later" else app.send_task(
        "t.touch", args=["now"], queue="q")
"""


def after_a_restart(folder: Path, transport: str) -> tuple[int | None, bool]:
    """Restart Redis under a worker that holds a message; give its exit code (None: lives), and whether it works."""
    (folder / "app.py").write_text(APP)
    server = RedisServer(folder).start()
    command = [sys.executable, str(folder / "app.py"), server.url, transport, str(folder)]
    log = (folder / "worker.log").open("wb")
    worker = subprocess.Popen([*command, "work"], stdout=log, stderr=log)
    try:
        subprocess.run([*command, "later"], check=True)
        with server.client() as client:
            wait_until(lambda: client.hlen("unacked") == 1, what="the worker holds the message")
        server.kill()
        server.start()
        subprocess.run([*command, "now"], check=True)
        wait_until(lambda: worker.poll() is not None or (folder / "now").exists(), within=40)
        return worker.poll(), (folder / "now").exists()
    finally:
        worker.kill()
        worker.wait()
        log.close()
        server.stop()


def test_stock_kombu_still_ends_the_worker_so_the_shim_is_needed(tmp_path: Path) -> None:
    code, works = after_a_restart(tmp_path, "")
    assert (code is not None, works) == (True, False)
    assert "AttributeError" in (tmp_path / "worker.log").read_text()


def test_with_the_shim_the_worker_lives_and_works(tmp_path: Path) -> None:
    assert after_a_restart(tmp_path, "gaugepost_workers.transport:Transport") == (None, True)
