"""All settings, and the only code that reads the environment.

Names carry the prefix `GAUGEPOST_`; a `.env` file in the current folder is read too (the environment wins), and
each secret can come from a file named by `…_FILE`. A name that is not known is an error that suggests the near one,
because a setting that is silently ignored is found out in production.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gaugepost import durations, encryption
from gaugepost.errors import SettingsError
from gaugepost.keys import NAMESPACE
from gaugepost.regions import Region
from gaugepost.verdict import Verdict  # noqa: TC001 - pydantic reads it at run time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_settings import PydanticBaseSettingsSource

PREFIX = "GAUGEPOST_"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_URL = re.compile(r"(?ai)[a-z]+://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:/[\w.~!$&'()*+,;=:@%-]*)*")
"""No user name or password, which would be shown with the URL; nothing that two readers of URLs read differently."""
_USER = re.compile(r"[!-+.-9;-~-]+:[!-+.-~-]+")
_PERSON = re.compile(r"(?:\.\*|[\w.+-]+)@[\w.-]+")
_PROXY = re.compile(
    r"https?://(?:[!-.0-9;-?A-~]+:[!-.0-9;-?A-~]*@)?(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?"
)


def _url_template(text: str) -> str:
    filled = text.replace("{region}", "eu")
    if not _URL.fullmatch(filled):
        raise ValueError("expected a URL of host, port and path alone, in which {region} is the only placeholder")
    parts = urlsplit(filled)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("expected https:// (http:// only to this machine itself)")
    return text.rstrip("/")


def _regions(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _backoff(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {str(name).lower(): _schedule(text) for name, text in value.items()}


def _schedule(value: object) -> object:
    return durations.schedule(str(value)) if isinstance(value, str | int | float) else value


def _data_key(secret: SecretStr) -> SecretStr:
    encryption.read_keys(secret.get_secret_value())
    return secret


def _filled(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError("expected a value, or no such line")
    return secret


def _proxy(secret: SecretStr) -> SecretStr:
    """Check the URL of a proxy. Its errors never quote it: it may hold a password."""
    url = secret.get_secret_value()
    expected = "expected http:// or https://, user:password@ if the proxy wants them, a host and a port"
    if not _PROXY.fullmatch(url):
        raise ValueError(f"{expected}; signs such as @ : / in a password as %40 %3A %2F")
    try:
        parts = urlsplit(url)
        _ = parts.port
        unquote(f"{parts.username}{parts.password}").encode("latin-1")
    except ValueError:
        raise ValueError(f"{expected}; letters of Latin-1 alone") from None
    return secret


def _seconds(value: object) -> object:
    return durations.seconds(value) if isinstance(value, str | int | float) else value


UrlTemplate = Annotated[str, AfterValidator(_url_template)]


def _users(secret: SecretStr) -> SecretStr:
    if not all(_USER.fullmatch(user) for user in secret.get_secret_value().split(",")):
        raise ValueError("expected name:password, several of them separated by commas, of printable ASCII alone")
    return secret


def _people(text: str) -> str:
    if not all(_PERSON.fullmatch(person) for person in text.split("|")) or ("*" in text and "|" in text):
        raise ValueError("expected .*@your-domain, or addresses separated by |")
    return text


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Credential = Annotated[SecretStr, AfterValidator(_filled)]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]


@dataclass(frozen=True)
class Credentials:
    """What one region's account gave us; None where it is not set."""

    client_id: SecretStr | None
    client_secret: SecretStr | None
    api_key: SecretStr | None


class Settings(BaseSettings):
    """The settings of every part of gaugepost. Raises SettingsError through `Settings.load()`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_nested_delimiter="__",
        env_nested_max_split=1,
        frozen=True,
        extra="ignore",
    )

    redis_url: Annotated[
        SecretStr | None,
        Field(
            description="[Redis or its sentinels](#redis); `{region}` in it gives each region its own. "
            "Required, except by `gaugepost demo` and `gaugepost up`"
        ),
    ] = None
    namespace: Annotated[
        str,
        Field(
            pattern="^[a-z][a-z0-9_-]{2,31}$",
            description="what the names of all keys and queues begin with: each deployment in one Redis needs its own",
        ),
    ] = NAMESPACE
    wait_replicas: Annotated[
        int,
        Field(ge=0, description="replicas of Redis that must have a job before it is accepted: see [Redis](#redis)"),
    ] = 0
    store_timeout: Annotated[
        Seconds,
        Field(ge=1, description="seconds that a call of a producer may take in all, its retries at Redis included"),
    ] = 5.0
    regions: Annotated[
        tuple[Region, ...], NoDecode, BeforeValidator(_regions), Field(min_length=1, description="regions served")
    ] = (Region.EU, Region.US, Region.AU)
    auth_url: Annotated[UrlTemplate, Field(description="where tokens are fetched")] = (
        "https://auth.{region}.customergauge.com"
    )
    imports_url: Annotated[UrlTemplate, Field(description="records and personal links")] = (
        "https://imports.api.{region}.customergauge.com"
    )
    api_url: Annotated[UrlTemplate, Field(description="close the loop, responses and files")] = (
        "https://api.{region}.customergauge.com"
    )
    eu_client_id: Annotated[Credential | None, Field(description="OAuth2 client of the region's Connected App")] = None
    eu_client_secret: Annotated[Credential | None, Field(description="its secret")] = None
    eu_api_key: Annotated[Credential | None, Field(description="key of the v4.1 calls: responses and files")] = None
    us_client_id: Annotated[Credential | None, Field(description="as for eu")] = None
    us_client_secret: Annotated[Credential | None, Field(description="as for eu")] = None
    us_api_key: Annotated[Credential | None, Field(description="as for eu")] = None
    au_client_id: Annotated[Credential | None, Field(description="as for eu")] = None
    au_client_secret: Annotated[Credential | None, Field(description="as for eu")] = None
    au_api_key: Annotated[Credential | None, Field(description="as for eu")] = None
    data_key: Annotated[
        Annotated[SecretStr, AfterValidator(_data_key)] | None,
        Field(description="Fernet keys, separated by commas, that seal personal data in Redis: the first one seals"),
    ] = None
    upload_interval: Annotated[
        Seconds, Field(description="seconds between two uploads of a region; less than 600 only off customergauge.com")
    ] = 600.0
    upload_scope: Annotated[
        Literal["region", "family"],
        Field(description="what shares an upload slot: all files of a region, or of a family"),
    ] = "region"
    upload_poll: Annotated[
        tuple[Seconds, ...],
        NoDecode,
        BeforeValidator(_schedule),
        Field(min_length=1, description="waits between two looks at an upload's statistics; the last one repeats"),
    ] = (60.0, 120.0, 300.0, 600.0)
    record_number_base: Annotated[
        int, Field(ge=0, le=2, description="what CustomerGauge calls the first record of a file in its row messages")
    ] = 2
    transactional_path: Annotated[
        str, Field(pattern="^/", description="path of this family's upload and statistics")
    ] = "/v4.1/file/transactional.json"
    contact_path: Annotated[str, Field(pattern="^/", description="as for transactional")] = "/v4.1/file/contact.json"
    historical_path: Annotated[str, Field(pattern="^/", description="as for transactional")] = (
        "/v4.1/file/historical.json"
    )
    activity_path: Annotated[
        str, Field(pattern="^/", description="as for transactional; not documented publicly, ask CustomerGauge")
    ] = "/v4.1/file/activity.json"
    retention_content: Annotated[Seconds, Field(description="how long a file's content is kept after it was sent")] = (
        86_400.0
    )
    content_limit: Annotated[
        int,
        Field(ge=1, description="bytes of (compressed) file contents a region may hold before an upload is refused"),
    ] = 500_000_000
    connect_timeout: Annotated[Seconds, Field(description="seconds to connect")] = 5.0
    read_timeout: Annotated[Seconds, Field(description="seconds between two bytes of an answer")] = 30.0
    proxy_url: Annotated[
        ProxyUrl | None,
        Field(
            description="the [egress proxy](docs/deployment.md#behind-an-egress-proxy) for CustomerGauge: "
            "`http://proxy:3128`, or with `user:password@`; the environment's `HTTPS_PROXY` is not used"
        ),
    ] = None
    proxy_url_eu: Annotated[ProxyUrl | None, Field(description="the proxy of one region, in place of that")] = None
    proxy_url_us: Annotated[ProxyUrl | None, Field(description="as for eu")] = None
    proxy_url_au: Annotated[ProxyUrl | None, Field(description="as for eu")] = None
    ca_file: Annotated[
        Path | None,
        Field(
            description="PEM file of the authorities by which CustomerGauge and an https:// proxy are verified, in "
            "place of certifi's"
        ),
    ] = None
    client_cert: Annotated[
        Path | None, Field(description="PEM file of the certificate that workers show to CustomerGauge (mutual TLS)")
    ] = None
    client_key: Annotated[
        Path | None, Field(description="PEM file of its private key, unless that is in the same file; not encrypted")
    ] = None
    http_adapter: Annotated[
        Literal["direct", "urllib3"],
        Field(description="`urllib3`: send by requests' own transport, as always through a proxy; it costs more CPU"),
    ] = "direct"
    lease: Annotated[
        Seconds,
        Field(
            description="seconds a claim lasts; must exceed the longest exchange; "
            "the same for all workers of a region, or changed at most fourfold at a time"
        ),
    ] = 90.0
    retention_delivered: Annotated[
        Seconds, Field(description="how long delivered, cancelled and expired jobs are kept")
    ] = 7 * 86_400.0
    retention_dead: Annotated[Seconds, Field(description="how long dead jobs are kept")] = 90 * 86_400.0
    backlog_limit: Annotated[
        int, Field(ge=1, description="jobs a region may have waiting before enqueue is refused")
    ] = 1_000_000
    metrics_port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65_535,
            description="port of the [metrics](docs/monitoring.md) of a worker or a beat, one more for each further "
            "process; none: there are none",
        ),
    ] = None
    metrics_address: Annotated[str, Field(min_length=1, description="address on which metrics are shown")] = "127.0.0.1"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="what parts log at least; an attempt of a job is a line of `info`"),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "text"],
        Field(description="`text` for people, `json`, or `auto`: `text` on a terminal, `json` elsewhere"),
    ] = "auto"
    run_dir: Annotated[
        Path | None,
        Field(description="where parts leave their pulse for `gaugepost health`; else a folder in the temporary one"),
    ] = None
    mappings: Annotated[
        Path | None,
        Field(description="a [mappings.toml](docs/mappings.md): aliases, types and fields of configurations"),
    ] = None
    events: Annotated[bool, Field(description="`off`: workers tell [Flower](docs/flower.md) of no job")] = True
    flower_basic_auth: Annotated[
        Annotated[SecretStr, AfterValidator(_users)] | None,
        Field(description="who may log in to [Flower](docs/flower.md): `name:password`, several separated by commas"),
    ] = None
    flower_oidc_issuer: Annotated[
        UrlTemplate | None, Field(description="or the OpenID provider whose people may, by its issuer URL")
    ] = None
    flower_oidc_client_id: Annotated[str | None, Field(description="what the provider calls this Flower")] = None
    flower_oidc_client_secret: Annotated[SecretStr | None, Field(description="its secret")] = None
    flower_oidc_users: Annotated[
        Annotated[str, AfterValidator(_people)] | None,
        Field(description="whom of them, by verified address: `.*@example.com`, or addresses separated by `\\|`"),
    ] = None
    flower_url: Annotated[
        UrlTemplate | None,
        Field(description="where people reach Flower; the provider sends them back to `/login` there"),
    ] = None
    retry_after_cap: Annotated[
        Seconds, Field(description="the longest Retry-After that is waited for; a longer one is cut to it")
    ] = 3_600.0
    backoff: Annotated[
        dict[Verdict, tuple[float, ...]],
        BeforeValidator(_backoff),
        Field(description="waits of one verdict in place of the policy's: `GAUGEPOST_BACKOFF__NO_CAMPAIGN=5m,30m,2h`"),
    ] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.lease < self.connect_timeout + self.read_timeout + 1:
            raise ValueError("lease: expected at least connect_timeout + read_timeout + 1 s, else a job goes out twice")
        self._check_login()
        if self.client_key and not self.client_cert:
            raise ValueError(f"client_key: needs {PREFIX}CLIENT_CERT")
        host = urlsplit(self.api_url.replace("{region}", "eu")).hostname or ""
        if self.upload_interval < 600 and (host + ".").endswith(("customergauge.com.", "customergauge.com..")):  # noqa: PLR2004
            raise ValueError("upload_interval: expected at least 600 s while api_url is CustomerGauge's own")
        return self

    def _check_login(self) -> None:
        """Refuse half a login: Flower would let in nobody, or everybody."""
        names = ("flower_oidc_issuer", "flower_oidc_client_id", "flower_oidc_client_secret", "flower_oidc_users")
        given = [name for name in names if getattr(self, name)]
        if given and self.flower_basic_auth:
            raise ValueError(f"flower_basic_auth: set it or {PREFIX}FLOWER_OIDC_…, not both")
        for name in (*names, "flower_url"):
            if given and not getattr(self, name):
                raise ValueError(f"{name}: needed with {PREFIX}{given[0].upper()}")

    @classmethod
    def load(cls, **given: Any) -> Settings:  # noqa: ANN401 - any field
        """Read the environment and `.env`; `given` wins. Raises SettingsError, which names the setting."""
        _refuse_dotenv_of_others()
        _refuse_unknown_names()
        return _made(cls, _from_files() | given)

    @classmethod
    def given(cls, **values: Any) -> Settings:  # noqa: ANN401 - any field
        """Make settings of these values and the defaults alone: no environment, no `.env`. Raises SettingsError."""
        for name in values.keys() - cls.model_fields:
            raise _unknown(f"{PREFIX}{name.upper()}", setting_names())
        return _made(_Given, {"_env_file": None} | values)

    def seal(self) -> encryption.Seal:
        """Return what seals personal data: nothing is sealed without DATA_KEY."""
        return encryption.Seal(encryption.read_keys(self.data_key.get_secret_value()) if self.data_key else ())

    def upload_lanes(self) -> list[str]:
        """Return the names of a region's upload lanes."""
        return ["files"] if self.upload_scope == "region" else [f"files:{family}" for family in self.file_paths()]

    def file_paths(self) -> dict[str, str]:
        """Return each family's path below `api_url`."""
        families = ("transactional", "contact", "historical", "activity")
        return {family: getattr(self, f"{family}_path") for family in families}

    def proxy(self, region: Region) -> SecretStr | None:
        """Return the URL of the proxy of one region, None for a direct connection."""
        own: SecretStr | None = getattr(self, f"proxy_url_{region}")
        return own or self.proxy_url

    def credentials(self, region: Region) -> Credentials:
        """Return the credentials of one region."""
        names = ("client_id", "client_secret", "api_key")
        return Credentials(*(getattr(self, f"{region}_{name}") for name in names))


class _Given(Settings):
    """Settings that come from nowhere else."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' own signature
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what was given."""
        return (init_settings,)


def _made(cls: type[Settings], values: Mapping[str, Any]) -> Settings:
    try:
        return cls(**values)
    except ValidationError as error:
        raise SettingsError("; ".join(_told(details) for details in error.errors(include_input=False))) from None


def _told(details: Any) -> str:  # noqa: ANN401 - pydantic_core's type is not public
    message = str(details["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
    name = "__".join(str(part) for part in details["loc"][:2]).upper()
    if not name:
        name, _, message = message.partition(": ")
    return f"{PREFIX}{name.upper()}: {message}"


def _environment() -> Mapping[str, str]:
    found = {name: value or "" for name, value in dotenv_values(".env").items()} | dict(os.environ)
    return {name.upper(): value for name, value in found.items() if name.upper().startswith(PREFIX)}


def setting_names() -> list[str]:
    """Return every name that may stand in the environment, but for the verdicts of BACKOFF__… ."""
    fields = [PREFIX + name.upper() for name in Settings.model_fields]
    return fields + [f"{name}_FILE" for name in fields if name.lower().removeprefix("gaugepost_") in _secrets()]


def _refuse_dotenv_of_others() -> None:
    """Whoever writes `.env` says where credentials are sent: not somebody else, in a folder that all may write to."""
    path = Path(".env")
    if path.is_file() and path.stat().st_uid not in {os.geteuid(), 0}:
        raise SettingsError(".env: belongs to another user; make it your own, or go to another folder")


def exposed_dotenv() -> str | None:
    """Return the mode of `.env` if it holds a secret and every user of this machine may read it."""
    path = Path(".env")
    if not path.is_file() or not path.stat().st_mode & stat.S_IROTH:
        return None
    held = {name.upper().removeprefix(PREFIX).lower() for name, value in dotenv_values(path).items() if value}
    return f"{stat.S_IMODE(path.stat().st_mode):o}" if held & _secrets() else None


def _secrets() -> set[str]:
    return {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}


def _refuse_unknown_names() -> None:
    known = setting_names()
    for name in _environment():
        if name in known or name.startswith(PREFIX + "BACKOFF__"):
            continue
        raise _unknown(name, known)


def _unknown(name: str, known: list[str]) -> SettingsError:
    plain = name.removesuffix("_FILE")  # a setting that is no secret comes from no file
    near = [plain] if plain in known else difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return SettingsError(f"{name}: unknown setting" + (f"; did you mean {near[0]}?" if near else ""))


def _from_files() -> dict[str, Any]:
    values: dict[str, Any] = {}
    environment = _environment()
    for field in _secrets():
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
