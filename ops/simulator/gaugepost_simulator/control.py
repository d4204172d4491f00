"""The control API under ``/_simulator/``, for tests and operators.

It can read and reset everything. So it answers only callers on the same machine, unless the simulator runs with
``--allow-remote-control``.
"""

import json
from collections.abc import Callable
from ipaddress import ip_address
from itertools import islice
from typing import cast, get_args

from gaugepost_simulator.checking import SettingError
from gaugepost_simulator.effects import KINDS
from gaugepost_simulator.faults import read_fault
from gaugepost_simulator.forms import read_pairs
from gaugepost_simulator.knobs import REGIONS
from gaugepost_simulator.messages import Reply, Request, json_reply
from gaugepost_simulator.page import page
from gaugepost_simulator.state import Kept, SimulatorState

PREFIX = "/_simulator/"
DEFAULT_LIMIT = 1000
Command = Callable[[Request], Reply]


class Control:
    """Answers requests for the simulator itself. ``remote``: also answer callers on other machines."""

    def __init__(self, state: SimulatorState, *, remote: bool) -> None:
        self._state = state
        self._remote = remote
        self._commands: dict[tuple[str, str], Command] = {
            ("GET", "health"): lambda _request: json_reply(200, {"status": "ok"}),
            ("GET", "state"): lambda _request: json_reply(200, self._state.counts()),
            ("GET", "effects"): self._effects,
            ("GET", "knobs"): lambda _request: json_reply(200, self._state.knobs.to_json()),
            ("PATCH", "knobs"): self._change_knobs,
            ("GET", "faults"): lambda _request: json_reply(200, self._state.faults.to_json()),
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._remove_faults,
            ("POST", "revoke"): self._revoke,
            ("POST", "reset"): self._reset,
        }

    def answer(self, request: Request) -> Reply | None:
        """Return the reply to a request for the simulator itself, None for any other request."""
        if request.path == "/" and request.method == "GET":
            return Reply(200, page(self._state).encode(), "text/html; charset=utf-8")
        if not request.path.startswith(PREFIX):
            return None
        if not self._remote and not ip_address(request.remote_ip).is_loopback:
            return json_reply(403, {"message": "The control API answers only callers on its own machine."})
        name = request.path.removeprefix(PREFIX).partition("/")[0]
        command = self._commands.get((request.method, name))
        if command is None:
            return json_reply(404, {"message": f"no such command: {request.method} {request.path}"})
        try:
            return command(request)
        except SettingError as refused:
            return json_reply(422, {"message": str(refused), "name": refused.name})

    def _effects(self, request: Request) -> Reply:
        query = dict(read_pairs(request.query))
        for name in query.keys() - {"region", "kind", "key", "after", "limit"}:
            raise SettingError(name, "is not known")
        _one_of(query.get("region"), REGIONS, "region")
        _one_of(query.get("kind"), KINDS, "kind")
        found = self._state.effects.select(
            region=query.get("region"), kind=query.get("kind"), key=query.get("key"), after=_number(query, "after", 0)
        )
        return json_reply(200, [e.to_json() for e in islice(found, _number(query, "limit", DEFAULT_LIMIT))])

    def _change_knobs(self, request: Request) -> Reply:
        self._state.knobs = self._state.knobs.changed(_body(request))
        return json_reply(200, self._state.knobs.to_json())

    def _add_faults(self, request: Request) -> Reply:
        data = _body(request)
        faults = [read_fault(item) for item in (data if isinstance(data, list) else [data])]
        return json_reply(201, [self._state.faults.add(fault) for fault in faults])

    def _remove_faults(self, request: Request) -> Reply:
        rule_id = request.path.removeprefix(f"{PREFIX}faults").strip("/") or None
        if self._state.faults.remove(rule_id):
            return json_reply(200, {})
        return json_reply(404, {"message": f"no such fault: {rule_id}"})

    def _revoke(self, request: Request) -> Reply:
        region = _member(_body(request), "region")
        _one_of(region, REGIONS, "region")
        return json_reply(200, {"revoked": self._state.tokens.revoke(cast("str | None", region))})

    def _reset(self, request: Request) -> Reply:
        keep = _member(_body(request), "keep") or []
        if not isinstance(keep, list):
            raise SettingError(name="keep", problem="must be a list")
        for name in keep:
            _one_of(name, get_args(Kept), "keep")
        self._state.reset(frozenset(keep))
        return json_reply(200, {})


def _body(request: Request) -> object:
    try:
        return json.loads(request.body or b"{}")
    except ValueError as error:
        raise SettingError(name="body", problem=f"is not JSON: {error}") from error


def _member(data: object, name: str) -> object:
    if not isinstance(data, dict):
        raise SettingError(name="body", problem="must be an object")
    for other in data.keys() - {name}:
        raise SettingError(str(other), f"is not known; known is {name}")
    return data.get(name)


def _one_of(value: object, known: tuple[object, ...], name: str) -> None:
    if value is not None and value not in known:
        raise SettingError(name, f"must be one of {', '.join(map(str, known))}")


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name) or str(default)
    if not text.isdecimal():
        raise SettingError(name, "must be a whole number")
    return int(text)
