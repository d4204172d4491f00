"""Run one process of the demo: `python -m gaugepost_ops.demo_process FOLDER worker --region eu`.

The process is a user of the demo's embedded Redis, and it ends when the demo ends, even if the demo is killed: its
stdin is a pipe that only the demo holds open. So the last process to end stops Redis.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from gaugepost_ops import embedded_redis

_GRACE_S = 20.0


def main(folder: Path, arguments: list[str]) -> None:
    """Run `gaugepost` with these arguments until SIGTERM, or until the demo has ended."""

    def end_at_once(*_: object) -> None:
        embedded_redis.leave(folder)
        os._exit(0)

    def end_with_the_demo() -> None:
        while os.read(0, 1):  # not sys.stdin: the interpreter crashes at its end if a thread waits there
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_S)
        end_at_once()

    embedded_redis.url(folder)
    # Until the command sets its own handler. SystemExit would not do, since an import may swallow it. The default
    # action would not do either: the process would not leave Redis, which would then run for ever.
    signal.signal(signal.SIGTERM, end_at_once)
    threading.Thread(target=end_with_the_demo, daemon=True).start()
    from gaugepost_ops.cli.app import build  # noqa: PLC0415 - typer takes a while to import

    build()(arguments, prog_name="gaugepost")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
