"""Run gaugepost's programs without importing them each time: a server imports them once and forks.

The imports take half a second of CPU, those of a worker one second: more than half of the CPU that all tests used. A
call is a process with its own folder, environment, streams and exit code; it shares only the interpreter's start and
the imports. test_cli_process.py, test_testing_kit.py, test_simulator_process.py and test_demo.py start the program
itself.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import json
import os
import re
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

PARTS = {
    "worker": "gaugepost_workers.worker",
    "beat": "gaugepost_workers.beat",
    "serve": "gaugepost_ops.web.server",
    "simulator": "gaugepost_simulator.server",
}
"""The long-running parts, and what each of them imports. `simulator` is no command: see `start_simulator`."""
_PR_SET_PDEATHSIG = 1
_LONGEST = 1 << 20
_AT_START = dict(os.environ)
_NOT_AT_START = re.compile(r"GAUGEPOST_\w+|PYTEST_\w+|PYTHONUNBUFFERED|TERM|COLUMNS|LINES")
"""Variables that no import reads, and PYTHONUNBUFFERED, which does not change captured output."""


def call(
    *arguments: str, env: Mapping[str, str], folder: Path, given: str = "", timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run `gaugepost` with these arguments to its end. Start Python if the environment could change how it starts."""
    if not forks(env):
        command = [sys.executable, "-m", "gaugepost_ops", *arguments]
        streams = {"input": given, "capture_output": True, "text": True}
        return subprocess.run(command, env=env, cwd=folder, timeout=timeout, check=False, **streams)
    with TemporaryFile("w+") as stdin, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        stdin.write(given)
        stdin.seek(0)
        with _fork(arguments, env, folder, (stdin, out, err)) as status_pipe:
            code = _outcome(status_pipe, ["gaugepost", *arguments], timeout)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read(), err.read())


def start(*arguments: str, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start `gaugepost` with these arguments, in its own process group, in the folder of its log file.

    Start Python if the environment could change how it starts.
    """
    with log.open("wb") as output, open(os.devnull, "rb") as nothing:  # noqa: PTH123 - no path of ours
        if not forks(env):
            command = [sys.executable, "-m", "gaugepost_ops", *arguments]
            streams = {"stdin": nothing, "stdout": output, "stderr": output}
            return subprocess.Popen(command, env=env, cwd=log.parent, start_new_session=True, **streams)
        return _Forked(arguments, _fork(arguments, env, log.parent, (nothing, output, output), own_group=True))


def start_simulator(*arguments: str) -> subprocess.Popen[str]:
    """Start the simulator with these arguments. Its stdout is a pipe."""
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "wb") as output, open(os.devnull, "rb") as nothing:  # noqa: PTH123 - no path of ours
        errors = os.fdopen(sys.__stderr__.fileno(), "wb", closefd=False)
        status_pipe = _fork(["simulator", *arguments], _AT_START, Path("/"), (nothing, output, errors))
    process: Any = _Forked(["simulator", *arguments], status_pipe)
    process.stdout = os.fdopen(ours)
    return process


def _fork(
    arguments: Sequence[str],
    env: Mapping[str, str],
    folder: Path,
    streams: Sequence[IO[Any]],
    *,
    own_group: bool = False,
) -> IO[bytes]:
    """Let the server fork. Return a pipe from which the process id can be read, and later the exit code."""
    asked = {"arguments": arguments, "env": dict(env), "folder": str(folder), "own_group": own_group}
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "wb") as end:
        requests, _ = _server()
        socket.send_fds(requests, [json.dumps(asked).encode()], [stream.fileno() for stream in (*streams, end)])
    return os.fdopen(ours, "rb", buffering=0)


class _Forked(subprocess.Popen[bytes]):
    """A process that the server forked. It is no child of this process: its exit code comes through a pipe."""

    def __init__(self, arguments: Sequence[str], status_pipe: IO[bytes]) -> None:
        self.args = list(arguments)
        self.stdin = self.stdout = self.stderr = None
        self.returncode: int | Any = None
        self._status_pipe = status_pipe
        self._line = b""
        self.pid = self._number(None)

    def _number(self, timeout: float | None) -> int:
        """Return the next number from the pipe. Raises TimeoutExpired."""
        deadline = time.monotonic() + timeout if timeout is not None else None
        while not self._line.endswith(b"\n"):
            left = max(0.0, deadline - time.monotonic()) if deadline is not None else None
            if not select.select([self._status_pipe], [], [], left)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            more = self._status_pipe.read(1)
            assert more, "the fork server has ended"
            self._line += more
        number, self._line = int(self._line), b""
        return number

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.returncode = self._number(timeout)
            self._status_pipe.close()
        return int(self.returncode)

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, sig)


def forks(env: Mapping[str, str]) -> bool:
    """Return whether a call with this environment may fork: the variables that imports read equal the server's."""
    return _start(env) == _start(_AT_START)


def _start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not _NOT_AT_START.fullmatch(name)}


@functools.cache
def _server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the server. It ends with this process: if this one is killed, because the socket closes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(theirs.fileno())],
            env=_start(_AT_START),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    atexit.register(_stop, ours, process)
    return ours, process


def _stop(requests: socket.socket, process: subprocess.Popen[bytes]) -> None:
    requests.close()
    process.kill()
    process.wait()


def _outcome(status_pipe: IO[bytes], command: list[str], timeout: float) -> int:
    """Return the exit code. The keeper writes the process id of the call first, and the exit code after its end."""
    deadline = time.monotonic() + timeout
    words = b""
    while words.count(b"\n") < 2:
        if not select.select([status_pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if words:
                os.kill(int(words), signal.SIGKILL)
            raise subprocess.TimeoutExpired(command, timeout)
        words += status_pipe.read(100) or b"\n!\n"
    return int(words.split()[1])


# The server


def serve(requests: socket.socket) -> dict[str, Any]:
    """Fork for each request; return it in the forked process, which is to run it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the keepers
    while True:
        request, streams, *_ = socket.recv_fds(requests, _LONGEST, 4)
        if not request:
            sys.exit()
        asked = json.loads(request)
        _import_part(*asked["arguments"][:1])
        if os.fork() == 0:
            _end_with_parent()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            return _keep(asked, *streams)
        for stream in streams:
            os.close(stream)


@functools.cache
def _import_part(command: str = "") -> None:
    if command in PARTS:
        import_module(PARTS[command])
        gc.freeze()


def _keep(request: dict[str, Any], stdin: int, out: int, err: int, status_pipe: int) -> dict[str, Any]:
    """Fork the process of a request, and write its exit code; return in that process only."""
    pid = os.fork()
    if pid == 0:
        _end_with_parent()
        if request["own_group"]:
            os.setsid()
        os.write(status_pipe, b"%d\n" % os.getpid())  # from now on the caller may kill its group
        for number, stream in enumerate((stdin, out, err)):
            os.dup2(stream, number)
        os.closerange(3, status_pipe + 1)
        return request
    os.closerange(stdin, err + 1)
    _, status = os.waitpid(pid, 0)
    os.write(status_pipe, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends: so all end with a killed run of the tests."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(requests: socket.socket) -> None:
    """Import the commands and serve; in a forked process, continue as `python -m gaugepost_ops`."""
    from gaugepost_ops.cli.app import COMMANDS  # noqa: PLC0415 - slow, and for the server alone

    for command in COMMANDS.values():
        import_module(command.target.partition(":")[0])
    gc.freeze()
    request = serve(requests)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path.insert(0, request["folder"])
    program, *options = request["arguments"]
    if program == "simulator":
        module, sys.argv[1:] = "gaugepost_simulator", options
    else:
        module, sys.argv[1:] = "gaugepost_ops", request["arguments"]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
