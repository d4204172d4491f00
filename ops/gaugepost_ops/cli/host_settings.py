"""The settings of this machine's systemd units, for commands that a person runs on the same machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dotenv import dotenv_values

from gaugepost.errors import SettingsError
from gaugepost.settings import PREFIX, Settings

HOST_FILE = Path("/etc/gaugepost/gaugepost.env")
"""The file that the units read (`EnvironmentFile`); see docs/deployment.md."""


def read_host_settings() -> Settings | None:
    """Read the units' settings into this process' environment. Values of the environment and of `.env` win.

    Returns None if this machine has no such file. Raises SettingsError if this user may not read the file, or if
    another user could have written it.
    """
    try:
        file = HOST_FILE.stat()
        found = dotenv_values(HOST_FILE, interpolate=False)
    except PermissionError:
        raise SettingsError(
            f"{PREFIX}REDIS_URL is not set, and this user may not read {HOST_FILE}. Run the command as root"
        ) from None
    except OSError:
        return None
    if file.st_uid not in {os.geteuid(), 0} or file.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingsError(
            f"{HOST_FILE}: other users may write to it. Run: chown root {HOST_FILE}; chmod 600 {HOST_FILE}"
        )
    for name, value in found.items():
        if name.upper().startswith(PREFIX):
            os.environ.setdefault(name.upper(), value or "")
    settings = Settings.load()
    return settings if settings.redis_url is not None else None
