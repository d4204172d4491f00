"""Handle a request in fixed steps: route, fault, caller, scenario, endpoint, answer.

All steps before the answer run in one step of the event loop. So an effect is committed whole or not at all, and the
counts match the answers.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine

from gaugepost_simulator import auth, close_loop, files, imports_api, responses, scenarios
from gaugepost_simulator.canned_responses import canned_reply
from gaugepost_simulator.connection import ClientConnection
from gaugepost_simulator.control import Control
from gaugepost_simulator.faults import CUTTING, Fault
from gaugepost_simulator.knobs import Endpoint
from gaugepost_simulator.messages import Reply, Request
from gaugepost_simulator.routes import find, region_of
from gaugepost_simulator.state import Answer, Call, SimulatorState

log = logging.getLogger("gaugepost_simulator")
_ERRORS_FROM = 300

_ENDPOINTS: dict[Endpoint, Callable[[SimulatorState, Call], Answer]] = {
    "token": auth.post_token,
    "records": imports_api.put_record,
    "personal_link": imports_api.put_personal_link,
    "close_loop": close_loop.put_status,
    "response": responses.post_response,
    "file": files.post_file,
    "statistics": files.get_statistics,
    "file_delete": files.delete_file,
}


class Service:
    """Handles requests, and writes their answers to the connection."""

    def __init__(self, state: SimulatorState, control: Control) -> None:
        self._state = state
        self._control = control
        self._pending: set[asyncio.Task[None]] = set()

    def accept(self, request: Request, connection: ClientConnection) -> None:
        """Answer one request: at once, or later if a knob or fault delays it."""
        reply = self._control.answer(request)
        if reply is not None:
            connection.send(reply)
            return
        route = find(request.method, request.path)
        if isinstance(route, Reply):
            self._count(region_of(request.path), "unknown", str(route.status))
            connection.send(route)
            return
        call = Call(request, route)
        fault = self._state.faults.pick(route.region, route.endpoint, request.body)
        seconds = self._state.knobs.latency(route.endpoint)
        if seconds:
            self._schedule(self._serve_after(seconds, call, fault, connection))
        else:
            self._serve(call, fault, connection)

    async def _serve_after(self, seconds: float, call: Call, fault: Fault | None, connection: ClientConnection) -> None:
        await asyncio.sleep(seconds)
        self._serve(call, fault, connection)

    def _serve(self, call: Call, fault: Fault | None, connection: ClientConnection) -> None:
        answer, fault = self._decide(call, fault)
        status = "cut" if fault and fault.fault in CUTTING else str(answer.reply.status)
        self._count(call.route.region, call.route.endpoint, status)
        log.debug("%s %s %s %s", call.route.region, call.request.method, call.request.path, status)
        if fault is None or fault.replaces:
            _mark_answered(answer, connection.send(answer.reply), fault)
        elif fault.fault in CUTTING:
            connection.cut()
        else:
            self._schedule(_send_with_fault(answer, fault, connection))

    def _decide(self, call: Call, fault: Fault | None) -> tuple[Answer, Fault | None]:
        if fault is None or fault.commits:
            refused = auth.check_caller(self._state, call)
            if refused is not None:
                return Answer(refused), fault
            fault = fault or scenarios.pick(self._state, call)
        answer = Answer(Reply(200)) if fault and not fault.commits else self._perform(call)
        if fault and fault.replaces:
            answer = Answer(canned_reply(fault, call.route, self._state.knobs), answer.effect)
        return answer, fault

    def _perform(self, call: Call) -> Answer:
        saved = (call.route.region, call.route.endpoint, call.key or "")
        if self._state.knobs.honour_idempotency_key and call.key and saved in self._state.replies:
            return Answer(self._state.replies[saved])
        answer = _ENDPOINTS[call.route.endpoint](self._state, call)
        if self._state.knobs.honour_idempotency_key and call.key and answer.effect:
            self._state.replies[saved] = answer.reply
        return answer

    def _count(self, region: str, endpoint: str, status: str) -> None:
        self._state.requests[f"{region}.{endpoint}.{status}"] += 1

    def _schedule(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)


async def _send_with_fault(answer: Answer, fault: Fault, connection: ClientConnection) -> None:
    if fault.fault == "short_body":
        await connection.send_short(answer.reply)
    elif fault.fault == "trickle":
        _mark_answered(answer, await connection.trickle(answer.reply, fault.seconds), fault)
    else:
        await asyncio.sleep(fault.seconds)
        _mark_answered(answer, connection.send(answer.reply), fault)


def _mark_answered(answer: Answer, arrived: bool, fault: Fault | None) -> None:  # noqa: FBT001 - a fact, no option
    """Mark the effect as answered if the answer arrived and reports the success."""
    garbled = fault is not None and (fault.fault in ("html", "broken_json") or answer.reply.status >= _ERRORS_FROM)
    if answer.effect is not None and arrived and not garbled:
        answer.effect.answered = True
