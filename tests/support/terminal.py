"""Run a process on a terminal of its own, and read what it shows: only a terminal gets pictures and bars."""

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
    """Run a command on a terminal. Press Ctrl-C when `until` was shown twice; type `answer` at a question."""
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
        pass  # Linux reports the end of a terminal so
    os.close(master)
    return process.wait(timeout=30), shown.decode()


def plain(shown: str) -> str:
    """Remove colours and cursor movements."""
    return ESCAPES.sub("", shown)
