"""The state of the simulator, and the call that its endpoints handle."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gaugepost_simulator.effects import Effect, Effects, Kind
from gaugepost_simulator.faults import FaultRules
from gaugepost_simulator.forms import Form, read_form, read_input
from gaugepost_simulator.knobs import REGIONS, Knobs
from gaugepost_simulator.messages import Reply, Request
from gaugepost_simulator.routes import Route
from gaugepost_simulator.tokens import Tokens
from gaugepost_simulator.uploads import Uploads

FIRST_SURVEY_NUMBER = 12345
Kept = Literal["knobs", "faults", "tokens"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply of an endpoint, and the effect that it committed, if any."""

    reply: Reply
    effect: Effect | None = None


class Call:
    """A request with its route. The body is parsed once, at its first use."""

    def __init__(self, request: Request, route: Route) -> None:
        self.request = request
        self.route = route
        self.key: str | None = request.headers.get("Idempotency-Key")

    @cached_property
    def input(self) -> dict[str, object]:
        """Return the input of a v7 or imports call."""
        return read_input(self.request.headers, self.request.body)

    @cached_property
    def form(self) -> Form:
        """Return the form of a v4.1 call."""
        return read_form(self.request.headers, self.request.body)

    @property
    def record(self) -> dict[str, object]:
        """Return the ``record`` of an imports call; {} if there is none. Other members are ignored."""
        record = self.input.get("record")
        return record if isinstance(record, dict) else {}


class SimulatorState:
    """The simulated accounts of all regions. ``knobs``: those at the start."""

    def __init__(self, knobs: Knobs) -> None:
        self._knobs_at_start = knobs
        self.reset()

    def reset(self, keep: frozenset[Kept] = frozenset()) -> None:
        """Reset everything except the parts named in ``keep``."""
        if "knobs" not in keep:
            self.knobs = self._knobs_at_start
        if "faults" not in keep:
            self.faults = FaultRules()
        if "tokens" not in keep:
            self.tokens = Tokens()
        self.effects = Effects()
        self.uploads = Uploads()
        self.requests: Counter[str] = Counter()
        self.scenario_hits: Counter[tuple[object, ...]] = Counter()
        self.survey_numbers: Counter[str] = Counter(dict.fromkeys(REGIONS, FIRST_SURVEY_NUMBER))
        self.invited: set[tuple[str, str]] = set()
        self.cases: dict[tuple[str, str], str] = {}
        self.replies: dict[tuple[str, str, str], Reply] = {}

    def commit(
        self,
        call: Call,
        kind: Kind,
        body: dict[str, object],
        *,
        configuration: str | None = None,
        result: object = None,
    ) -> Effect:
        """Store the effect of a call."""
        effect = self.effects.add(
            call.route.region,
            kind,
            received_at=call.request.received_at,
            key=call.key,
            body=body,
            configuration=configuration,
        )
        effect.result = result
        return effect

    def counts(self) -> dict[str, object]:
        """Return all counts."""
        token_requests = {r: sum(n for k, n in self.requests.items() if k.startswith(f"{r}.token.")) for r in REGIONS}
        return {
            "effects": len(self.effects),
            "by": dict(self.effects.by),
            "requests": dict(self.requests),
            "tokens_issued": {region: self.tokens.issued[region] for region in REGIONS},
            "token_requests": token_requests,
            "doubled": {region: self.effects.doubled[region] for region in REGIONS},
            "file_records": {region: self.uploads.live_records(region) for region in REGIONS},
            "limits_broken": dict(self.uploads.limits_broken),
        }
