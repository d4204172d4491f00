"""The settings of this machine's systemd units, for commands that a person runs beside them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dotenv import dotenv_values

from gaugepost.errors import SettingsError
from gaugepost.settings import PREFIX, Settings

HOST_FILE = Path("/etc/gaugepost/gaugepost.env")
"""What the units read (`EnvironmentFile`): docs/deployment.md."""


def read_host_settings() -> Settings | None:
    """Read the settings of the units; what the environment and `.env` set wins. None if this machine has no such file.

    They become part of this process' environment. Raises SettingsError if this user may not read them, or if another
    user could have written them.
    """
    try:
        file = HOST_FILE.stat()
        found = dotenv_values(HOST_FILE, interpolate=False)
    except PermissionError:
        raise SettingsError(
            f"{PREFIX}REDIS_URL is not set, and this user may not read {HOST_FILE}, which has it: run this as root"
        ) from None
    except OSError:
        return None
    if file.st_uid not in {os.geteuid(), 0} or file.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingsError(f"{HOST_FILE}: others may write to it; make it root's own, chmod 600")
    for name, value in found.items():
        if name.upper().startswith(PREFIX):
            os.environ.setdefault(name.upper(), value or "")
    settings = Settings.load()
    return settings if settings.redis_url is not None else None
