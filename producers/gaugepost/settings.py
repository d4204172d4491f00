"""All settings. No other module reads the environment.

The names begin with `GAUGEPOST_`. Settings come from the environment and from `.env` in the current folder; the
environment wins. A secret can also come from a file that `…_FILE` names. An unknown name is an error and the message
suggests the nearest known name: otherwise a misspelt setting shows only in production.
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
"""A URL without user name and password, because logs show it; and without anything that URL parsers disagree on."""
_USER = re.compile(r"[!-+.-9;-~-]+:[!-+.-~-]+")
_ADDRESS = re.compile(r"(?:\.\*|[\w.+-]+)@[\w.-]+")
_PROXY = re.compile(
    r"https?://(?:[!-.0-9;-?A-~]+:[!-.0-9;-?A-~]*@)?(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?"
)


def _url_template(text: str) -> str:
    filled = text.replace("{region}", "eu")
    if not _URL.fullmatch(filled):
        raise ValueError("expected a URL with host, port and path only; {region} is the only placeholder")
    parts = urlsplit(filled)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("expected https:// (http:// is allowed for localhost only)")
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


def _not_empty(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError("expected a value; remove the setting if you do not need it")
    return secret


def _proxy(secret: SecretStr) -> SecretStr:
    """Check the URL of a proxy. Raises ValueError, which never quotes the URL: it may contain a password."""
    url = secret.get_secret_value()
    expected = "expected http:// or https://, then user:password@ (if the proxy needs a login), host and port"
    if not _PROXY.fullmatch(url):
        raise ValueError(f"{expected}; write @ : / in a password as %40 %3A %2F")
    try:
        parts = urlsplit(url)
        _ = parts.port
        unquote(f"{parts.username}{parts.password}").encode("latin-1")
    except ValueError:
        raise ValueError(f"{expected}; user and password may have Latin-1 characters only") from None
    return secret


def _seconds(value: object) -> object:
    return durations.seconds(value) if isinstance(value, str | int | float) else value


def _users(secret: SecretStr) -> SecretStr:
    if not all(_USER.fullmatch(user) for user in secret.get_secret_value().split(",")):
        raise ValueError("expected name:password in printable ASCII; separate several by commas")
    return secret


def _addresses(text: str) -> str:
    if not all(_ADDRESS.fullmatch(address) for address in text.split("|")) or ("*" in text and "|" in text):
        raise ValueError("expected .*@your-domain, or addresses separated by |")
    return text


UrlTemplate = Annotated[str, AfterValidator(_url_template)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Credential = Annotated[SecretStr, AfterValidator(_not_empty)]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]


@dataclass(frozen=True)
class Credentials:
    """The credentials of one region's CustomerGauge account; None for each that is not set."""

    client_id: SecretStr | None
    client_secret: SecretStr | None
    api_key: SecretStr | None


class Settings(BaseSettings):
    """The settings of all gaugepost processes. Make them by `Settings.load()` or `Settings.given()`."""

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
            description="URL of [Redis or of its sentinels](#redis); with `{region}` in it each region has its own "
            "Redis. Required, except for `gaugepost demo` and `gaugepost up`"
        ),
    ] = None
    namespace: Annotated[
        str,
        Field(
            pattern="^[a-z][a-z0-9_-]{2,31}$",
            description="prefix of all keys and queues: deployments that share a Redis need different ones",
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
    regions: Annotated[
        tuple[Region, ...], NoDecode, BeforeValidator(_regions), Field(min_length=1, description="the regions to serve")
    ] = (Region.EU, Region.US, Region.AU)
    auth_url: Annotated[UrlTemplate, Field(description="URL of the token endpoint's host")] = (
        "https://auth.{region}.customergauge.com"
    )
    imports_url: Annotated[UrlTemplate, Field(description="URL for records and personal links")] = (
        "https://imports.api.{region}.customergauge.com"
    )
    api_url: Annotated[UrlTemplate, Field(description="URL for close the loop, responses and files")] = (
        "https://api.{region}.customergauge.com"
    )
    eu_client_id: Annotated[Credential | None, Field(description="OAuth2 client id of the region's Connected App")] = (
        None
    )
    eu_client_secret: Annotated[Credential | None, Field(description="secret of that OAuth2 client")] = None
    eu_api_key: Annotated[Credential | None, Field(description="API key for the v4.1 API: responses and files")] = None
    us_client_id: Annotated[Credential | None, Field(description="as for eu")] = None
    us_client_secret: Annotated[Credential | None, Field(description="as for eu")] = None
    us_api_key: Annotated[Credential | None, Field(description="as for eu")] = None
    au_client_id: Annotated[Credential | None, Field(description="as for eu")] = None
    au_client_secret: Annotated[Credential | None, Field(description="as for eu")] = None
    au_api_key: Annotated[Credential | None, Field(description="as for eu")] = None
    data_key: Annotated[
        Annotated[SecretStr, AfterValidator(_data_key)] | None,
        Field(
            description="Fernet keys, separated by commas, that encrypt personal data in Redis: the first encrypts, "
            "all decrypt"
        ),
    ] = None
    upload_interval: Annotated[
        Seconds,
        Field(description="seconds between two uploads of a region; at least 600 for customergauge.com"),
    ] = 600.0
    upload_scope: Annotated[
        Literal["region", "family"],
        Field(description="which files share one upload lane: `region`: all; `family`: those of one family"),
    ] = "region"
    upload_poll: Annotated[
        tuple[Seconds, ...],
        NoDecode,
        BeforeValidator(_schedule),
        Field(min_length=1, description="waits between two requests for an upload's statistics; the last one repeats"),
    ] = (60.0, 120.0, 300.0, 600.0)
    record_number_base: Annotated[
        int, Field(ge=0, le=2, description="number of a file's first record in CustomerGauge's messages about rows")
    ] = 2
    transactional_path: Annotated[
        str, Field(pattern="^/", description="path of this family's uploads and statistics")
    ] = "/v4.1/file/transactional.json"
    contact_path: Annotated[str, Field(pattern="^/", description="as for transactional")] = "/v4.1/file/contact.json"
    historical_path: Annotated[str, Field(pattern="^/", description="as for transactional")] = (
        "/v4.1/file/historical.json"
    )
    activity_path: Annotated[
        str, Field(pattern="^/", description="as for transactional; not in the public documentation, ask CustomerGauge")
    ] = "/v4.1/file/activity.json"
    retention_content: Annotated[
        Seconds, Field(description="how long Redis keeps a file's content after a worker sent it")
    ] = 86_400.0
    content_limit: Annotated[
        int,
        Field(ge=1, description="bytes of compressed file contents that a region may have; then uploads are refused"),
    ] = 500_000_000
    connect_timeout: Annotated[Seconds, Field(description="seconds to wait for a connection")] = 5.0
    read_timeout: Annotated[Seconds, Field(description="seconds to wait for the next byte of an answer")] = 30.0
    proxy_url: Annotated[
        ProxyUrl | None,
        Field(
            description="URL of the [egress proxy](docs/deployment.md#behind-an-egress-proxy) for CustomerGauge: "
            "`http://proxy:3128` or `http://user:password@proxy:3128`. gaugepost ignores `HTTPS_PROXY`"
        ),
    ] = None
    proxy_url_eu: Annotated[
        ProxyUrl | None, Field(description="URL of the proxy of one region; it replaces `PROXY_URL`")
    ] = None
    proxy_url_us: Annotated[ProxyUrl | None, Field(description="as for eu")] = None
    proxy_url_au: Annotated[ProxyUrl | None, Field(description="as for eu")] = None
    ca_file: Annotated[
        Path | None,
        Field(
            description="PEM file of the certificate authorities that verify CustomerGauge and an https:// proxy; "
            "without it, certifi's"
        ),
    ] = None
    client_cert: Annotated[
        Path | None, Field(description="PEM file of the workers' client certificate (mutual TLS)")
    ] = None
    client_key: Annotated[
        Path | None,
        Field(description="PEM file of its private key, without a passphrase; not needed if `CLIENT_CERT` has the key"),
    ] = None
    http_adapter: Annotated[
        Literal["direct", "urllib3"],
        Field(
            description="how workers send: `direct` is faster; `urllib3` is the standard transport of requests, which "
            "a proxy always uses"
        ),
    ] = "direct"
    lease: Annotated[
        Seconds,
        Field(
            description="seconds that a worker owns a claimed job; longer than the longest exchange. "
            "Use the same value for all workers of a region, or change it by at most a factor of 4 at a time"
        ),
    ] = 90.0
    retention_delivered: Annotated[
        Seconds, Field(description="how long Redis keeps delivered, cancelled and expired jobs")
    ] = 7 * 86_400.0
    retention_dead: Annotated[Seconds, Field(description="how long Redis keeps dead jobs")] = 90 * 86_400.0
    backlog_limit: Annotated[
        int, Field(ge=1, description="jobs that may wait in a region; then enqueue raises BacklogFull")
    ] = 1_000_000
    metrics_port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65_535,
            description="port on which a worker or beat serves [metrics](docs/monitoring.md); each further process "
            "uses the next port. Without it there are no metrics",
        ),
    ] = None
    metrics_address: Annotated[str, Field(min_length=1, description="address on which metrics are served")] = (
        "127.0.0.1"
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="lowest level that is logged; each attempt is logged at `info`"),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "text"],
        Field(description="`text`, `json`, or `auto`: `text` on a terminal, `json` elsewhere"),
    ] = "auto"
    run_dir: Annotated[
        Path | None,
        Field(
            description="folder of the heartbeat files that `gaugepost health` reads; without it, a folder in the "
            "temporary directory"
        ),
    ] = None
    mappings: Annotated[
        Path | None,
        Field(description="path of a [mappings.toml](docs/mappings.md): aliases, types and fields of configurations"),
    ] = None
    events: Annotated[bool, Field(description="`off`: workers send no job events to [Flower](docs/flower.md)")] = True
    flower_basic_auth: Annotated[
        Annotated[SecretStr, AfterValidator(_users)] | None,
        Field(description="logins of [Flower](docs/flower.md): `name:password`, several separated by commas"),
    ] = None
    flower_oidc_issuer: Annotated[
        UrlTemplate | None,
        Field(description="issuer URL of the OpenID provider for logins, instead of `FLOWER_BASIC_AUTH`"),
    ] = None
    flower_oidc_client_id: Annotated[str | None, Field(description="Flower's client id at that provider")] = None
    flower_oidc_client_secret: Annotated[SecretStr | None, Field(description="secret of that client")] = None
    flower_oidc_users: Annotated[
        Annotated[str, AfterValidator(_addresses)] | None,
        Field(description="verified addresses that may log in: `.*@example.com`, or addresses separated by `\\|`"),
    ] = None
    flower_url: Annotated[
        UrlTemplate | None,
        Field(description="URL of Flower for its users; after a login the provider redirects to `/login` there"),
    ] = None
    retry_after_cap: Annotated[
        Seconds, Field(description="longest Retry-After in seconds; a longer one is cut to this")
    ] = 3_600.0
    backoff: Annotated[
        dict[Verdict, tuple[float, ...]],
        BeforeValidator(_backoff),
        Field(description="waits after one verdict; replaces the policy's: `GAUGEPOST_BACKOFF__NO_CAMPAIGN=5m,30m,2h`"),
    ] = {}

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.lease < self.connect_timeout + self.read_timeout + 1:
            raise ValueError(
                "lease: expected at least connect_timeout + read_timeout + 1 s; a shorter lease sends jobs twice"
            )
        self._check_login()
        if self.client_key and not self.client_cert:
            raise ValueError(f"client_key: needs {PREFIX}CLIENT_CERT")
        host = urlsplit(self.api_url.replace("{region}", "eu")).hostname or ""
        if self.upload_interval < 600 and (host + ".").endswith(("customergauge.com.", "customergauge.com..")):  # noqa: PLR2004
            raise ValueError("upload_interval: expected at least 600 s, because api_url is customergauge.com")
        return self

    def _check_login(self) -> None:
        """Refuse an incomplete login: Flower would refuse or admit every user."""
        names = ("flower_oidc_issuer", "flower_oidc_client_id", "flower_oidc_client_secret", "flower_oidc_users")
        given = [name for name in names if getattr(self, name)]
        if given and self.flower_basic_auth:
            raise ValueError(f"flower_basic_auth: set it or {PREFIX}FLOWER_OIDC_…, not both")
        for name in (*names, "flower_url"):
            if given and not getattr(self, name):
                raise ValueError(f"{name}: needed with {PREFIX}{given[0].upper()}")

    @classmethod
    def load(cls, **given: Any) -> Settings:  # noqa: ANN401 - any field
        """Read the environment, `.env` and secret files; values in `given` win.

        Raises SettingsError, which names the setting.
        """
        _refuse_foreign_dotenv()
        _refuse_unknown_names()
        return _validated(cls, _from_files() | given)

    @classmethod
    def given(cls, **values: Any) -> Settings:  # noqa: ANN401 - any field
        """Make settings from these values and the defaults; ignore the environment and `.env`. Raises SettingsError."""
        for name in values.keys() - cls.model_fields:
            raise _unknown(f"{PREFIX}{name.upper()}", setting_names())
        return _validated(_Given, {"_env_file": None} | values)

    def cipher(self) -> encryption.Cipher:
        """Return the cipher for personal data; without `data_key` it encrypts nothing."""
        return encryption.Cipher(encryption.read_keys(self.data_key.get_secret_value()) if self.data_key else ())

    def upload_lanes(self) -> list[str]:
        """Return the names of a region's upload lanes."""
        return ["files"] if self.upload_scope == "region" else [f"files:{family}" for family in self.file_paths()]

    def file_paths(self) -> dict[str, str]:
        """Return family → its path below `api_url`."""
        families = ("transactional", "contact", "historical", "activity")
        return {family: getattr(self, f"{family}_path") for family in families}

    def proxy(self, region: Region) -> SecretStr | None:
        """Return the URL of a region's proxy; None means a direct connection."""
        own: SecretStr | None = getattr(self, f"proxy_url_{region}")
        return own or self.proxy_url

    def credentials(self, region: Region) -> Credentials:
        """Return the credentials of one region."""
        names = ("client_id", "client_secret", "api_key")
        return Credentials(*(getattr(self, f"{region}_{name}") for name in names))


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


def _environment() -> Mapping[str, str]:
    found = {name: value or "" for name, value in dotenv_values(".env").items()} | dict(os.environ)
    return {name.upper(): value for name, value in found.items() if name.upper().startswith(PREFIX)}


def setting_names() -> list[str]:
    """Return all names of settings, `…_FILE` included; without the names `BACKOFF__<verdict>`."""
    fields = [PREFIX + name.upper() for name in Settings.model_fields]
    return fields + [f"{name}_FILE" for name in fields if name.lower().removeprefix("gaugepost_") in _secrets()]


def _refuse_foreign_dotenv() -> None:
    """Refuse a `.env` of another user, who could redirect credentials by it in a folder that all users may write to."""
    path = Path(".env")
    if path.is_file() and path.stat().st_uid not in {os.geteuid(), 0}:
        raise SettingsError(".env: belongs to another user; change its owner, or use another folder")


def exposed_dotenv() -> str | None:
    """Return the octal mode of `.env` if it contains a secret and every user of this machine may read it, else None."""
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
    plain = name.removesuffix("_FILE")  # only secrets can come from files
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
