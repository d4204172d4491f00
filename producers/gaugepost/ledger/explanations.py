"""Explain holds to people: what happened, why, and what to do. All commands and pages use these texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.ledger.holds import Cause, FailedRequest, Hold

_REFUSED = "refused_credentials"
_NOT_SET = " is not set"
_BY_ITSELF = "Nothing to do: delivery resumes by itself"
_LIFTED = "the hold is lifted, and the job will be sent in its turn"
_MAPPING = "Correct the mapping at CustomerGauge: a probe then lifts the hold. A job that has waited for 48 h dies."

_MEANINGS = {
    "throttled": "CustomerGauge asks to send more slowly",
    _REFUSED: "CustomerGauge refuses the credential",
    "server_error": "several requests to CustomerGauge failed in a row",
    "unreachable": "the egress proxy fails",
    "unknown_mapping": "CustomerGauge does not know this configuration",
    "wrong_mapping_type": "CustomerGauge has this configuration with a data type that takes no records",
    "mapping_drift": "CustomerGauge asks for a field that the jobs carry: the mapping was changed",
}
_ACTIONS = {
    "throttled": f"{_BY_ITSELF}.",
    "server_error": f"{_BY_ITSELF}, as soon as a probe (one job at a time) is answered.",
    "unreachable": "Repair the proxy: delivery then resumes by itself. If GAUGEPOST_PROXY_URL or its password is "
    "wrong, correct it and restart the workers. `gaugepost check` with a worker's settings tests it.",
    "unknown_mapping": _MAPPING,
    "wrong_mapping_type": _MAPPING,
    "mapping_drift": _MAPPING,
}
_WORDS = {
    "throttled": _MEANINGS["throttled"],
    "credentials": "no valid credential or access token",
}
"""Reasons of parked jobs whose hold is not known."""


_PROXY = "proxy: "
_BATCH = "batch:"
_RUNNING = "canary: the first "


def meaning(hold: Hold) -> str:
    """Return the cause of a hold as part of a sentence; empty for a person's hold, which has a reason of its own."""
    match _topic(hold):
        case "setting":
            return "the workers lack a credential"
        case "token":
            return "no access token could be fetched"
        case topic:
            return _MEANINGS.get(topic, "")


def action(hold: Hold, region: str) -> str:
    """Return what to do about a hold, in a sentence; empty for a person's hold, which `gaugepost resume` ends."""
    match _topic(hold):
        case "canary":
            return (
                _BY_ITSELF + ", if these jobs are clean."
                if hold.reason.startswith(_RUNNING)
                else _stopped(hold, region)
            )
        case "setting":
            return f"Set GAUGEPOST_{hold.reason.removesuffix(_NOT_SET)} for the workers and restart them."
        case "token":
            return f"{_BY_ITSELF}: a worker asks again. `gaugepost check` tries it now."
        case topic if topic == _REFUSED:
            return f"Correct {_settings(hold, region)} on the workers and restart them: this lifts the hold."
        case topic:
            return _ACTIONS.get(topic, "")


def is_of_proxy(hold: Hold) -> bool:
    """Return whether a hold is open because the egress proxy fails."""
    return _topic(hold) == "unreachable"


def _topic(hold: Hold) -> str:
    """Return the topic of a hold: `canary`, `setting`, `token`, or its verdict; empty for a person's hold."""
    if hold.scope.startswith(_BATCH) and hold.label == "canary":
        return "canary"
    if hold.verdict is None:
        return ""
    if hold.reason.endswith(_NOT_SET):
        return "setting"
    if hold.scope == "credentials:oauth" and hold.verdict != _REFUSED:
        return "unreachable" if hold.reason.startswith(_PROXY) else "token"
    return hold.verdict


def _stopped(hold: Hold, region: str) -> str:
    name = hold.scope.removeprefix(_BATCH)
    look = f"Look at the jobs that were sent: gaugepost batch {name}"
    return f"{look}. Then resume the batch, or cancel the rest: gaugepost cancel --batch {name} --region {region}"


def _settings(hold: Hold, region: str) -> str:
    prefix = f"GAUGEPOST_{region.upper()}_"
    names = ("CLIENT_ID", "CLIENT_SECRET") if hold.scope == "credentials:oauth" else ("API_KEY",)
    return " and ".join(prefix + name for name in names)


def explained(hold: Hold, region: str) -> dict[str, Any]:
    """Return a hold in the form of `holds --json`, `status --json` and `job --json`."""
    return hold.to_dict() | {"meaning": meaning(hold) or None, "to_do": action(hold, region) or None}


def meaning_of_reason(reason: str | None, *, lifted: bool = False) -> str:
    """Explain the reason of a job that has no hold, or whose hold was `lifted`; empty for an unknown reason."""
    return _LIFTED if lifted else _WORDS.get(reason or "", "")


def opened_by(hold: Hold, clock: Callable[[int], str | None]) -> str:
    """Describe the failed requests that opened a hold: `5 failed requests in a row, 14:03:10 to …`.

    Empty if they are not known. `clock`: formats Unix ms.
    """
    cause = hold.cause
    if cause is None:
        return ""
    if cause.failures == 1 and cause.requests:
        return f"1 failed request at {clock(cause.requests[0].at)}: {_one(cause.requests[0])}"
    if not cause.requests:
        return f"{cause.failures} failed requests"
    spread = f"{clock(cause.first or cause.requests[0].at)} to {clock(cause.requests[-1].at)}"
    answers = ", ".join(f"{number} x {answer}" for answer, number in cause.answers().items())
    last = f"the last {len(cause.requests)}: " if cause.failures > len(cause.requests) else ""
    counted = f"{cause.failures} failed requests in a row, {spread}: {last}{answers}, {_of(cause)}"
    more = f"; {cause.beside} more failed at the same time and do not count" if cause.beside else ""
    return counted + more


def _one(request: FailedRequest) -> str:
    if request.endpoint == "token":
        return f"{request.answer}, for an access token"
    of_mapping = f" of configuration {request.configuration}" if request.configuration else ""
    return f"{request.answer}, {request.kind}{of_mapping}, job {request.job}"


def _of(cause: Cause) -> str:
    """Describe the jobs of these requests: `of 3 jobs (record; 2 configurations)`."""
    jobs, configurations = len(cause.different("job")), len(cause.different("configuration"))
    text = f"of {jobs} job{'s' if jobs != 1 else ''} ({', '.join(cause.different('kind'))}"
    return text + (f"; {configurations} configuration{'s' if configurations != 1 else ''})" if configurations else ")")


def failed_probes(hold: Hold, clock: Callable[[int], str | None]) -> str:
    """Describe the failed probes of a hold: their number and the last answer; empty if none failed."""
    if not hold.failed_probes or hold.last_probe is None:
        return ""
    number = f"{hold.failed_probes} probe{'s' if hold.failed_probes > 1 else ''} failed"
    return f"{number}, the last at {clock(hold.last_probe.at)}: {hold.last_probe.answer}"
