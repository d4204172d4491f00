"""The base class of the groups of settings."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "GAUGEPOST_"


class Group(BaseSettings):
    """Settings on one subject. `Settings` inherits all groups; only it is instantiated."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_nested_delimiter="__",
        env_nested_max_split=1,
        frozen=True,
        extra="ignore",
    )
