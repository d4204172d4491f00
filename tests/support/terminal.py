"""A terminal of its own for a process, and what is shown on it: pictures and bars are made for people only."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable
from typing import Any

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def on_terminal(
    start: Callable[..., subprocess.Popen[str]],
    *arguments: str,
    columns: int = 80,
    until: str = "",
    answer: str = "",
    **streams: Any,
) -> tuple[int, str]:
    """Run it on a terminal; `until`: press Ctrl-C when that was shown twice; `answer`: type it where it is asked."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = start(*arguments, **({"stdin": slave, "stdout": slave, "stderr": slave} | streams))
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 65_536):
            shown += part
            if until and shown.count(until.encode()) > 1:
                process.send_signal(signal.SIGINT)
                until = ""
            if answer and b"[y/N]" in shown:
                os.write(master, answer.encode())
                answer = ""
    except OSError:
        pass  # Linux tells the end of a terminal so
    os.close(master)
    return process.wait(timeout=30), shown.decode()


def plain(shown: str) -> str:
    """Take colours and moves of the cursor out."""
    return ESCAPES.sub("", shown)
