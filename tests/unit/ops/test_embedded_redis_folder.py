"""Who can read the folder of the embedded Redis, and where it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from gaugepost import StoreUnreachable
from gaugepost_ops import embedded_redis

if TYPE_CHECKING:
    pass


pytestmark = pytest.mark.starts_process


def test_a_folder_that_was_open_to_all_is_made_private(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    embedded_redis.url(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_folder_is_that_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(inner)
    assert embedded_redis.home() == tmp_path / ".gaugepost"
    (inner / ".gaugepost").mkdir()
    assert embedded_redis.home() == inner / ".gaugepost"


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


def test_folder_is_private_whatever_the_umask(folder: Path) -> None:
    folder.mkdir(mode=0o777)
    (folder / "redis.conf").touch(mode=0o666)
    before = os.umask(0)
    try:
        with redis.Redis.from_url(embedded_redis.url(folder)) as client:
            client.set("a", "1")
        found = modes(folder)
    finally:
        os.umask(before)
    assert found.pop(".gaugepost") == 0o700
    assert {"redis.conf", "redis.json", "users", "start.lock", "redis.log"} <= set(found)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}


def test_line_break_in_folder_name_adds_no_redis_configuration(tmp_path: Path) -> None:
    folder = tmp_path / 'a"\nrequirepass open\n# ' / ".gaugepost"
    folder.parent.mkdir()
    url = embedded_redis.url(folder)
    try:
        assert "requirepass open\n" not in (folder / "redis.conf").read_text()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(url.replace(url.split("@")[0], "redis://:open")).ping()
    finally:
        embedded_redis.leave(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folder_of_another_user_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap, inner = tmp_path / ".gaugepost", tmp_path / "inner"
    trap.mkdir()
    inner.mkdir()
    os.chown(trap, 65_534, 65_534)
    monkeypatch.chdir(inner)
    assert embedded_redis.home() == inner / ".gaugepost"
    (inner / ".gaugepost").symlink_to(trap)
    for folder in (trap, inner / ".gaugepost"):
        with pytest.raises(StoreUnreachable, match="belongs to another user"):
            embedded_redis.url(folder)
