"""The calls of CustomerGauge that the front answers. Only the documented paths exist, exact to the slash."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, get_args

from gaugepost.file_families import Family
from gaugepost.regions import Region
from gaugepost_ops.web.front.dialects import UNKNOWN_METHOD, UNKNOWN_MODULE, V41, Dialect, Laravel, OAuth

if TYPE_CHECKING:
    from starlette.responses import Response

PREFIX = "/customergauge/"
_V41 = "v4.1"
_MODULES = ("transactions", "file")
_REGIONS = frozenset(Region)

Call = Literal["token", "record", "personal_link", "close_loop", "response", "file"]


@dataclass(frozen=True, slots=True)
class Route:
    """One call of a region. `name`: its path with placeholders, for the log and the metrics."""

    call: Call
    name: str
    region: Region
    dialect: Dialect
    family: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """A path or a method that the front does not have, and its answer."""

    name: str
    answer: Response


_PLAIN: dict[str, tuple[str, Call]] = {
    "oauth2/token": ("POST", "token"),
    "records/": ("PUT", "record"),
    "personal-link/": ("PUT", "personal_link"),
    "v7/rest/close-loop/status": ("PUT", "close_loop"),
}


def find(method: str, path: str) -> Route | Missing:
    """Return the call of a path."""
    name, _, rest = path.removeprefix(PREFIX).partition("/")
    if name not in _REGIONS:
        return _not_found()
    region = Region(name)
    if rest in _PLAIN:
        return _plain(method, rest, region)
    if rest.partition("/")[0] == _V41:
        return _of_v41(method, rest.removeprefix(f"{_V41}/"), region)
    return _not_found()


def _plain(method: str, rest: str, region: Region) -> Route | Missing:
    wanted, call = _PLAIN[rest]
    dialect: Dialect = OAuth() if call == "token" else Laravel()
    if method == wanted:
        return Route(call, f"{PREFIX}{{region}}/{rest}", region, dialect)
    message = f"The {method} method is not supported for this route. Supported methods: {wanted}."
    answer = Laravel().refusal(HTTPStatus.METHOD_NOT_ALLOWED, message, {"Allow": wanted})
    return Missing(f"{PREFIX}{{region}}/{rest}", answer)


def _of_v41(method: str, rest: str, region: Region) -> Route | Missing:
    base, _, suffix = rest.rpartition(".")
    dialect = V41(xml=suffix == "xml")
    if suffix in {"json", "xml"} and method == "POST":
        if base == "transactions/response":
            return Route("response", f"{PREFIX}{{region}}/{_V41}/{rest}", region, dialect)
        module, _, family = base.partition("/")
        if module == "file" and family in get_args(Family):
            return Route("file", f"{PREFIX}{{region}}/{_V41}/file/{{family}}.{suffix}", region, dialect, family)
    if rest.partition("/")[0].removesuffix(".json").removesuffix(".xml") not in _MODULES:
        return Missing(
            f"{PREFIX}{{region}}/{_V41}", dialect.error(HTTPStatus.NOT_FOUND, UNKNOWN_MODULE, "Module does not exist")
        )
    answer = dialect.error(HTTPStatus.METHOD_NOT_ALLOWED, UNKNOWN_METHOD, "Method does not exist")
    return Missing(f"{PREFIX}{{region}}/{_V41}", answer)


def _not_found() -> Missing:
    return Missing(f"{PREFIX}…", Laravel().refusal(HTTPStatus.NOT_FOUND, "Not Found"))
