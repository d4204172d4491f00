"""One part of the demo as a process: `python -m gaugepost_ops.demo_process FOLDER worker --region eu`.

It holds the demo's embedded Redis open and ends with the demo, however that ended: its stdin is a pipe whose other
end only the demo has. So the last part to go stops Redis, even if the demo was killed.
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
    """Run one part until it is told to stop or the demo is gone."""

    def end_at_once(*_: object) -> None:
        embedded_redis.leave(folder)
        os._exit(0)

    def end_with_the_demo() -> None:
        while os.read(0, 1):  # not sys.stdin: a thread that waits in it makes the interpreter's end a crash
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_S)
        end_at_once()

    embedded_redis.url(folder)
    # Until the part has a handler of its own. Not SystemExit, which an import may swallow; nor death outright, since
    # then it would not leave Redis, which goes on for ever.
    signal.signal(signal.SIGTERM, end_at_once)
    threading.Thread(target=end_with_the_demo, daemon=True).start()
    from gaugepost_ops.cli.app import build  # noqa: PLC0415 - typer takes a while to import

    build()(arguments, prog_name="gaugepost")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
