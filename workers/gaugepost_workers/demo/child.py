"""One part of the demo as a process: `python -m gaugepost_workers.demo.child FOLDER worker --region eu`.

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

from gaugepost import embedded

from gaugepost_workers.__main__ import app

_GRACE_S = 20.0


def _end_with_the_demo() -> None:
    while os.read(0, 1):  # not sys.stdin: a thread that waits in it makes the interpreter's end a crash
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    embedded.url(Path(sys.argv[1]))
    threading.Thread(target=_end_with_the_demo, daemon=True).start()
    app(sys.argv[2:])
