"""Names and values of settings in the environment, in `.env` and in secret files.

`fields` is `Settings.model_fields`: the environment of a process is checked against all groups at once.
"""

from __future__ import annotations

import difflib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values

from gaugepost.errors import SettingsError
from gaugepost.settings.group import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo


def variables() -> Mapping[str, str]:
    """Return the environment's and `.env`'s variables of gaugepost: upper-case name → value."""
    found = {name: value or "" for name, value in dotenv_values(".env").items()} | dict(os.environ)
    return {name.upper(): value for name, value in found.items() if name.upper().startswith(PREFIX)}


def secrets(fields: Mapping[str, FieldInfo]) -> set[str]:
    """Return the names of the fields whose values are secret; only these can come from files."""
    return {name for name, field in fields.items() if "SecretStr" in str(field.annotation)}


def variable_names(fields: Mapping[str, FieldInfo]) -> list[str]:
    """Return the names of all variables, `…_FILE` included; without the names `BACKOFF__<verdict>`."""
    names = [PREFIX + name.upper() for name in fields]
    return names + [f"{PREFIX}{name.upper()}_FILE" for name in fields if name in secrets(fields)]


def refuse_foreign_dotenv() -> None:
    """Refuse a `.env` of another user, who could redirect credentials by it in a folder that all users may write to."""
    path = Path(".env")
    if path.is_file() and path.stat().st_uid not in {os.geteuid(), 0}:
        raise SettingsError(".env: belongs to another user; change its owner, or use another folder")


def exposed_mode(fields: Mapping[str, FieldInfo]) -> str | None:
    """Return the octal mode of `.env` if it contains a secret and every user of this machine may read it, else None."""
    path = Path(".env")
    if not path.is_file() or not path.stat().st_mode & stat.S_IROTH:
        return None
    held = {name.upper().removeprefix(PREFIX).lower() for name, value in dotenv_values(path).items() if value}
    return f"{stat.S_IMODE(path.stat().st_mode):o}" if held & secrets(fields) else None


def refuse_unknown_names(fields: Mapping[str, FieldInfo]) -> None:
    """Raise SettingsError for the first variable that begins with GAUGEPOST_ and is no setting."""
    known = variable_names(fields)
    for name in variables():
        if name in known or name.startswith(PREFIX + "BACKOFF__"):
            continue
        raise unknown(name, known)


def unknown(name: str, known: list[str]) -> SettingsError:
    """Return the error for an unknown name, with the nearest known one."""
    plain = name.removesuffix("_FILE")  # only secrets can come from files
    near = [plain] if plain in known else difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return SettingsError(f"{name}: unknown setting" + (f"; did you mean {near[0]}?" if near else ""))


def values_from_files(fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """Read the secrets that a `…_FILE` variable names: field → value. Raises SettingsError."""
    values: dict[str, Any] = {}
    environment = variables()
    for field in secrets(fields):
        name = f"{PREFIX}{field.upper()}"
        if f"{name}_FILE" not in environment:
            continue
        if name in environment:
            raise SettingsError(f"{name}: set it or {name}_FILE, not both")
        try:
            values[field] = Path(environment[f"{name}_FILE"]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{name}_FILE: cannot be read: {type(error).__name__}") from None
    return values
