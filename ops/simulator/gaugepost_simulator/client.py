"""Run the simulator in a process of its own, and control it over HTTP.

This module needs only the standard library, so a test suite that uses it needs no tornado in its own process.
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
# Ignore proxies of the environment: the simulator usually runs on the same machine.
_OPENER = build_opener(ProxyHandler({}))


class SimulatorError(RuntimeError):
    """The simulator did not start, or refused a command."""


class Simulator:
    """A simulator that runs until the ``with`` block or this process ends.

    ``knobs``: the knobs at the start. ``port``: 0 takes a free port. All methods raise :class:`SimulatorError` for
    knobs or faults that do not exist or have wrong values.
    """

    def __init__(self, knobs: Mapping[str, object] | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._knobs = dict(knobs or {})
        self._host, self._port = host, port
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the server and wait until it listens."""
        self._process = self._started()
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line.startswith(_LINE):
            self.stop()
            message = "the simulator did not start; stderr has the reason"
            raise SimulatorError(message)
        self.url = line.removeprefix(_LINE).strip()
        try:
            self.knobs(**self._knobs)
        except SimulatorError:
            self.stop()
            raise
        return self

    def _started(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "gaugepost_simulator", "--host", self._host, "--port", str(self._port)]
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, "--parent", str(os.getpid())], stdout=subprocess.PIPE, env=_environ(), text=True
        )

    def stop(self) -> None:
        """Stop the server. A second call does nothing."""
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
        """Return the environment variables that point gaugepost to this simulator, with its current credentials."""
        return environment(self.url, self.knobs()["credentials"])

    def effects(
        self, *, region: str | None = None, kind: str | None = None, key: str | None = None, after: int = 0
    ) -> list[Json]:
        """Return the effects with a number above ``after`` that match all filters, oldest first."""
        return list(self._pages({"region": region, "kind": kind, "key": key}, after))

    def state(self) -> Json:
        """Return all counts: ``effects`` is a number, every other member an object of counts by name."""
        return cast("Json", self.call("GET", "state"))

    def knobs(self, **changes: object) -> Json:
        """Change knobs, then return all. Nested knobs merge member by member; None resets a knob to its default."""
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
        """Add a fault rule and return its id. ``options``: members of :class:`Fault`, such as ``times`` or ``code``."""
        match = {"region": region, "endpoint": endpoint, "contains": contains}
        rule = {"fault": fault, "match": {k: v for k, v in match.items() if v is not None}, **options}
        return cast("list[str]", self.call("POST", "faults", rule))[0]

    def faults(self) -> list[Json]:
        """Return all fault rules with their hits."""
        return cast("list[Json]", self.call("GET", "faults"))

    def clear_faults(self, fault_id: str | None = None) -> None:
        """Remove one fault rule, or all."""
        self.call("DELETE", f"faults/{fault_id}" if fault_id else "faults")

    def revoke(self, region: str | None = None) -> int:
        """Revoke all tokens of a region, or of all regions. Return how many there were."""
        return cast("dict[str, int]", self.call("POST", "revoke", {"region": region}))["revoked"]

    def reset(self, *, keep: tuple[str, ...] = ()) -> None:
        """Reset the state, and the knobs to those of the start. ``keep`` may name knobs, faults and tokens."""
        self.call("POST", "reset", {"keep": list(keep)})
        if "knobs" not in keep:
            self.knobs(**self._knobs)

    def call(self, method: str, command: str, body: object = None) -> object:
        """Call the control API and return its parsed answer. Raises :class:`SimulatorError` for a refusal."""
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
