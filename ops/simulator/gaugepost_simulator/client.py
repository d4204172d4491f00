"""The simulator as a fixture: a real server in a process of its own, steered through the control API.

Standard library only, so that a test suite that uses it needs no tornado in its own process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from gaugepost_simulator.environment import environment

Json = dict[str, Any]
_LINE = "simulator listening on "
_PAGE = 1000
_END_SECONDS = 10
_TIMEOUT = 60
# A proxy that is set in the environment has no business between a test and its own machine.
_OPENER = build_opener(ProxyHandler({}))


class SimulatorError(RuntimeError):
    """The simulator did not start, or refused what it was asked."""


class Simulator:
    """A simulator that lives as long as the ``with`` block, and not longer than this process.

    ``knobs`` are those to start with; ``port`` 0 takes a free one. Faults and knobs are refused with
    :class:`SimulatorError` where they do not fit.
    """

    def __init__(self, knobs: Mapping[str, object] | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._knobs = dict(knobs or {})
        self._host, self._port = host, port
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop, whatever happened inside."""
        self.stop()

    def start(self) -> Self:
        """Start the server and wait until it listens."""
        command = [sys.executable, "-m", "gaugepost_simulator", "--host", self._host, "--port", str(self._port)]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, "--parent", str(os.getpid())], stdout=subprocess.PIPE, env=_environ(), text=True
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line.startswith(_LINE):
            self.stop()
            message = "the simulator did not start; its reason is on stderr"
            raise SimulatorError(message)
        self.url = line.removeprefix(_LINE).strip()
        try:
            self.knobs(**self._knobs)
        except SimulatorError:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server; once more does no harm."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()

    def env(self) -> dict[str, str]:
        """Give the environment variables that point a gaugepost here, with the credentials as they are now."""
        return environment(self.url, self.knobs()["credentials"])

    def effects(
        self, *, region: str | None = None, kind: str | None = None, key: str | None = None, after: int = 0
    ) -> list[Json]:
        """Give all effects after number ``after`` that fit, oldest first."""
        return list(self._pages({"region": region, "kind": kind, "key": key}, after))

    def state(self) -> Json:
        """Give all counts: ``effects`` is a number, the others are counted by name."""
        return cast("Json", self.call("GET", "state"))

    def knobs(self, **changes: object) -> Json:
        """Change knobs (nested ones member by member, None for the default) and give all of them."""
        return cast("Json", self.call("PATCH", "knobs", changes) if changes else self.call("GET", "knobs"))

    def fault(
        self,
        fault: str,
        *,
        region: str | None = None,
        endpoint: str | None = None,
        contains: str | None = None,
        **options: object,
    ) -> str:
        """Add a fault rule and give its id; ``options`` are ``times``, ``skip``, ``code``, ``seconds`` and so on."""
        match = {"region": region, "endpoint": endpoint, "contains": contains}
        rule = {"fault": fault, "match": {k: v for k, v in match.items() if v is not None}, **options}
        return cast("list[str]", self.call("POST", "faults", rule))[0]

    def faults(self) -> list[Json]:
        """Give all fault rules with their hits."""
        return cast("list[Json]", self.call("GET", "faults"))

    def clear_faults(self, fault_id: str | None = None) -> None:
        """Take one fault rule away, or all."""
        self.call("DELETE", f"faults/{fault_id}" if fault_id else "faults")

    def revoke(self, region: str | None = None) -> int:
        """Make all tokens of a region, or of all, invalid; gives how many there were."""
        return cast("dict[str, int]", self.call("POST", "revoke", {"region": region}))["revoked"]

    def reset(self, *, keep: tuple[str, ...] = ()) -> None:
        """Forget everything; ``keep`` may name knobs, faults and tokens. Knobs go back to those of the start."""
        self.call("POST", "reset", {"keep": list(keep)})
        if "knobs" not in keep:
            self.knobs(**self._knobs)

    def call(self, method: str, command: str, body: object = None) -> object:
        """Call the control API and give its parsed answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(f"{self.url}/_simulator/{command}", data, headers, method=method)  # noqa: S310 - our own URL
        try:
            with _OPENER.open(request, timeout=_TIMEOUT) as answer:
                return cast("object", json.load(answer))
        except HTTPError as error:
            with error:
                raise SimulatorError(json.load(error)["message"]) from error

    def _pages(self, filters: Mapping[str, str | None], after: int) -> Iterator[Json]:
        query = {name: value for name, value in filters.items() if value is not None}
        while True:
            command = "effects?" + urlencode({**query, "after": after, "limit": _PAGE})
            page = cast("list[Json]", self.call("GET", command))
            yield from page
            if len(page) < _PAGE:
                return
            after = cast("int", page[-1]["n"])


def _environ() -> dict[str, str]:
    here = str(Path(__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([here, *([inherited] if inherited else [])])}
