"""All settings. No other package reads the environment.

The names begin with `GAUGEPOST_`. Settings come from the environment and from `.env` in the current folder; the
environment wins. A secret can also come from a file that `…_FILE` names. An unknown name is an error and the message
suggests the nearest known name: otherwise a misspelt setting shows only in production.

Each module here is one group of settings; `environment` finds their values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from pydantic import ValidationError, model_validator

from gaugepost.errors import SettingsError
from gaugepost.settings.console import ConsoleSettings
from gaugepost.settings.delivery import DeliverySettings
from gaugepost.settings.endpoints import Credentials, EndpointSettings
from gaugepost.settings.environment import (
    exposed_mode,
    refuse_foreign_dotenv,
    refuse_unknown_names,
    unknown,
    values_from_files,
    variable_names,
)
from gaugepost.settings.flower import FlowerSettings
from gaugepost.settings.group import PREFIX
from gaugepost.settings.monitoring import MonitoringSettings
from gaugepost.settings.operators import OperatorSettings
from gaugepost.settings.redis import RedisSettings
from gaugepost.settings.requests import RequestSettings
from gaugepost.settings.retention import RetentionSettings
from gaugepost.settings.uploads import UploadSettings
from gaugepost.settings.webhooks import WebhookSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

__all__ = ["PREFIX", "Credentials", "Settings", "exposed_dotenv", "setting_names"]


class Settings(
    RedisSettings,
    EndpointSettings,
    RequestSettings,
    DeliverySettings,
    UploadSettings,
    RetentionSettings,
    OperatorSettings,
    WebhookSettings,
    MonitoringSettings,
    FlowerSettings,
    ConsoleSettings,
):
    """The settings of all gaugepost processes. Make them by `Settings.load()` or `Settings.given()`."""

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        """Check what two groups say together."""
        if self.lease < self.connect_timeout + self.read_timeout + 1:
            raise ValueError(
                "lease: expected at least connect_timeout + read_timeout + 1 s; a shorter lease sends jobs twice"
            )
        host = urlsplit(self.api_url.replace("{region}", "eu")).hostname or ""
        if self.upload_interval < 600 and (host + ".").endswith(("customergauge.com.", "customergauge.com..")):  # noqa: PLR2004
            raise ValueError("upload_interval: expected at least 600 s, because api_url is customergauge.com")
        return self

    @classmethod
    def load(cls, **given: Any) -> Settings:  # noqa: ANN401 - any field
        """Read the environment, `.env` and secret files; values in `given` win.

        Raises SettingsError, which names the setting.
        """
        refuse_foreign_dotenv()
        refuse_unknown_names(cls.model_fields)
        return _validated(cls, values_from_files(cls.model_fields) | given)

    @classmethod
    def given(cls, **values: Any) -> Settings:  # noqa: ANN401 - any field
        """Make settings from these values and the defaults; ignore the environment and `.env`. Raises SettingsError."""
        for name in values.keys() - cls.model_fields:
            raise unknown(f"{PREFIX}{name.upper()}", setting_names())
        return _validated(_Given, {"_env_file": None} | values)


class _Given(Settings):
    """Settings that ignore the environment, `.env` and secret files."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' own signature
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the values passed to the constructor as the only source."""
        return (init_settings,)


def _validated(cls: type[Settings], values: Mapping[str, Any]) -> Settings:
    try:
        return cls(**values)
    except ValidationError as error:
        raise SettingsError("; ".join(_problem(details) for details in error.errors(include_input=False))) from None


def _problem(details: Any) -> str:  # noqa: ANN401 - pydantic_core's type is not public
    message = str(details["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
    name = "__".join(str(part) for part in details["loc"][:2]).upper()
    if not name:
        name, _, message = message.partition(": ")
    return f"{PREFIX}{name.upper()}: {message}"


def setting_names() -> list[str]:
    """Return the names of all variables, `…_FILE` included; without the names `BACKOFF__<verdict>`."""
    return variable_names(Settings.model_fields)


def exposed_dotenv() -> str | None:
    """Return the octal mode of `.env` if it contains a secret and every user of this machine may read it, else None."""
    return exposed_mode(Settings.model_fields)
