"""One simulator process for all tests, reset before each test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from gaugepost_simulator import Simulator
from support.hosts import Host

Call = Callable[..., requests.Response]
TIMEOUT = 30


@pytest.fixture(scope="session")
def running() -> Iterator[Simulator]:
    """Run the simulator process."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def sim(running: Simulator) -> Simulator:
    """Return the simulator, reset."""
    running.reset()
    return running


@pytest.fixture
def host(sim: Simulator) -> Host:
    """Return where the documented calls go: the simulator."""
    return Host(sim)


@pytest.fixture
def token(host: Host) -> Callable[..., str]:
    """Fetch a token as documented."""

    def fetch(region: str = "eu") -> str:
        form = {"grant_type": "client_credentials"} | host.client(region)
        answer = requests.post(host.url("auth", region, "oauth2/token"), data=form, timeout=TIMEOUT)
        return str(answer.json()["access_token"])

    return fetch


@pytest.fixture
def call(host: Host, token: Callable[..., str]) -> Call:
    """Call ``imports/...`` or ``api/...`` of a region with valid credentials."""

    def send(method: str, path: str, region: str = "eu", key: str | None = None, **options: Any) -> requests.Response:
        api, _, rest = path.partition("/")
        headers = dict(options.pop("headers", {}))
        if "Authorization" not in headers:
            headers["Authorization"] = (
                f"api_key {host.api_key(region)}" if "v4.1" in rest else f"Bearer {token(region)}"
            )
        if key:
            headers["Idempotency-Key"] = key
        timeout = options.pop("timeout", TIMEOUT)
        return requests.request(method, host.url(api, region, rest), headers=headers, timeout=timeout, **options)

    return send


@pytest.fixture
def put_record(call: Call) -> Call:
    """PUT a record with an email and further fields."""

    def put(region: str = "eu", key: str | None = None, configuration: str = "map", **fields: str) -> requests.Response:
        record = {"Email": "joe.doe@example.com"} | fields
        return call("PUT", "imports/records/", region, key, json={"configuration": configuration, "record": record})

    return put


@pytest.fixture
def put_link(call: Call) -> Call:
    """PUT a personal link with an email and further fields."""

    def put(region: str = "eu", key: str | None = None, configuration: str = "map", **fields: str) -> requests.Response:
        record = {"Email": "joe.doe@example.com"} | fields
        return call(
            "PUT", "imports/personal-link/", region, key, json={"configuration": configuration, "record": record}
        )

    return put


@pytest.fixture
def put_status(call: Call) -> Call:
    """PUT a status of case 53499 with further fields."""

    def put(status: str = "open", **fields: str) -> requests.Response:
        body = {"number_customergauge": "53499", "status": status} | fields
        return call("PUT", "api/v7/rest/close-loop/status", json=body)

    return put


@pytest.fixture
def upload(call: Call) -> Call:
    """POST a file."""

    def post(
        name: str = "a.csv",
        content: bytes = b"Email\njoe@example.com\n",
        family: str = "transactional",
        region: str = "eu",
        key: str | None = None,
    ) -> requests.Response:
        return call("POST", f"api/v4.1/file/{family}.json", region, key, files={"file": (name, content)})

    return post


@pytest.fixture
def statistics(call: Call) -> Callable[..., list[dict[str, Any]]]:
    """GET the statistics of a family."""

    def get(family: str = "transactional", **query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = call("GET", f"api/v4.1/file/{family}.json", params=query).json()["Data"]
        return rows

    return get
