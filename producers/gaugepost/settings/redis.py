"""Settings of the store: where Redis is, and how jobs are stored in it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from gaugepost import encryption
from gaugepost.keys import NAMESPACE
from gaugepost.settings.group import Group
from gaugepost.settings.types import Seconds


def _data_key(secret: SecretStr) -> SecretStr:
    encryption.read_keys(secret.get_secret_value())
    return secret


_NAMESPACE = re.compile("[a-z][a-z0-9_-]{2,31}")


def _namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        raise ValueError("expected 3 to 32 lower-case letters, digits, - and _, a letter first")
    return text


class RedisSettings(Group):
    """Redis: where jobs are stored."""

    redis_url: Annotated[
        SecretStr | None,
        Field(
            description="URL of [Redis or of its sentinels](#redis); with `{region}` in it each region has its own "
            "Redis. Required, except for `gaugepost demo` and `gaugepost up`"
        ),
    ] = None
    namespace: Annotated[
        str,
        AfterValidator(_namespace),
        Field(
            description="prefix of all keys and queues: deployments that share a Redis need different ones. "
            "3 to 32 lower-case letters, digits, `-` and `_`, a letter first",
        ),
    ] = NAMESPACE
    wait_replicas: Annotated[
        int,
        Field(ge=0, description="Redis replicas that must have a job before enqueue returns: see [Redis](#redis)"),
    ] = 0
    store_timeout: Annotated[
        Seconds,
        Field(ge=1, description="longest time of one producer call in seconds, its retries included"),
    ] = 5.0
    data_key: Annotated[
        Annotated[SecretStr, AfterValidator(_data_key)] | None,
        Field(
            description="Fernet keys, separated by commas, that encrypt personal data in Redis: the first encrypts, "
            "all decrypt"
        ),
    ] = None

    def cipher(self) -> encryption.Cipher:
        """Return the cipher for personal data; without `data_key` it encrypts nothing."""
        return encryption.Cipher(encryption.read_keys(self.data_key.get_secret_value()) if self.data_key else ())
