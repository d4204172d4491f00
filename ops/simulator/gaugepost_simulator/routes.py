"""Map URLs to endpoints. One port serves all regions; the path names the region.

Only the documented paths exist, exact to the slash, so that a client with a wrong path fails here and not in
production. A path of v4.1 names a module and a method, with an error code for an unknown one of either.
"""

from dataclasses import dataclass
from typing import Literal

from gaugepost_simulator.knobs import REGIONS, Endpoint, Region
from gaugepost_simulator.messages import Reply, error_reply, refusal

AnswerFormat = Literal["oauth", "laravel", "v41"]
FAMILIES = ("transactional", "contact", "historical", "activity")
_MODULES = ("transactions", "file")


@dataclass(frozen=True, slots=True)
class Route:
    """The endpoint of a path and method. ``xml``: answer in XML. ``family``: of a file."""

    region: Region
    endpoint: Endpoint
    answer_format: AnswerFormat
    xml: bool = False
    family: str = ""


def _routes_of(region: Region) -> dict[tuple[str, str], Route]:
    routes = {
        ("POST", f"/auth/{region}/oauth2/token"): Route(region, "token", "oauth"),
        ("PUT", f"/imports/{region}/records/"): Route(region, "records", "laravel"),
        ("PUT", f"/imports/{region}/personal-link/"): Route(region, "personal_link", "laravel"),
        ("PUT", f"/api/{region}/v7/rest/close-loop/status"): Route(region, "close_loop", "laravel"),
    }
    for suffix in ("json", "xml"):
        xml, base = suffix == "xml", f"/api/{region}/v4.1"
        routes["POST", f"{base}/transactions/response.{suffix}"] = Route(region, "response", "v41", xml)
        routes["DELETE", f"{base}/file.{suffix}"] = Route(region, "file_delete", "v41", xml)
        for family in FAMILIES:
            path = f"{base}/file/{family}.{suffix}"
            routes["POST", path] = Route(region, "file", "v41", xml, family)
            routes["GET", path] = Route(region, "statistics", "v41", xml, family)
    return routes


ROUTES = {key: route for region in REGIONS for key, route in _routes_of(region).items()}
_METHODS: dict[str, list[str]] = {}
for _method, _path in ROUTES:
    _METHODS.setdefault(_path, []).append(_method)


def find(method: str, path: str) -> Route | Reply:
    """Return the route of a request, or the refusal of a wrong path or method."""
    return ROUTES.get((method, path)) or _missing(method, path)


def region_of(path: str) -> str:
    """Return the region in a path, or ``-``."""
    part = path.split("/")[2:3]
    return part[0] if part and part[0] in REGIONS else "-"


def _missing(method: str, path: str) -> Reply:
    if path.startswith("/api/") and region_of(path) != "-" and path.split("/")[3:4] == ["v4.1"]:
        return _missing_v41(path)
    if path in _METHODS:
        supported = ", ".join(_METHODS[path])
        return refusal(405, f"The {method} method is not supported for this route. Supported methods: {supported}.")
    return refusal(404, "Not Found")


def _missing_v41(path: str) -> Reply:
    xml = path.endswith(".xml")
    module = path.split("/")[4:5]
    if not module or module[0].removesuffix(".json").removesuffix(".xml") not in _MODULES:
        return error_reply(404, 300002, "Module does not exist", xml=xml)
    return error_reply(405, 300003, "Method does not exist", xml=xml)
