"""Replies that replace the endpoint's own: an error page of a gateway or framework, broken JSON, a redirect."""

from http.client import responses

from gaugepost_simulator import message_texts
from gaugepost_simulator.faults import Fault
from gaugepost_simulator.knobs import Knobs
from gaugepost_simulator.messages import Reply, data_reply, error_reply, json_reply, refusal
from gaugepost_simulator.routes import Route

_TEXTS = {401: message_texts.UNAUTHENTICATED, 429: "Too Many Attempts.", 500: "Server Error"}


def canned_reply(fault: Fault, route: Route, knobs: Knobs) -> Reply:
    """Return the reply of a fault that replaces the endpoint's own, with the fault's headers."""
    reply = _reply_of(fault, route, knobs)
    return Reply(reply.status, reply.body, reply.content_type, (*reply.headers, *fault.headers.items()))


def _reply_of(fault: Fault, route: Route, knobs: Knobs) -> Reply:
    if fault.fault == "html":
        status = fault.code or 200
        text = f"<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>{status}</h1></body></html>"
        return Reply(status, text.encode(), "text/html; charset=utf-8")
    if fault.fault == "broken_json":
        return Reply(fault.code or 200, b'{"data": {"number_customergauge": 12345, "survey_li')
    if fault.fault == "redirect":
        return Reply(fault.code or 302, headers=(("Location", fault.location or "/"),))
    return _status(fault, route, knobs)


def _status(fault: Fault, route: Route, knobs: Knobs) -> Reply:
    status, body = fault.code or 500, fault.body
    if body is None:
        return _default_reply(status, route, knobs)
    if isinstance(body, str):
        return Reply(status, body.encode(), "text/plain; charset=utf-8")
    if route.xml and isinstance(body, dict) and isinstance(body.get("Error"), dict):
        return error_reply(status, body["Error"].get("Code", status), body["Error"].get("Message", ""), xml=True)
    return json_reply(status, body)


def _default_reply(status: int, route: Route, knobs: Knobs) -> Reply:
    text = _TEXTS.get(status) or responses.get(status, "Error")
    if route.answer_format == "oauth":
        return json_reply(status, {"error": text})
    if route.answer_format == "laravel":
        return refusal(status, text)
    if status < 400:  # noqa: PLR2004 - below the HTTP errors
        return data_reply(data=True, xml=route.xml)
    if status == 401:  # noqa: PLR2004 - the HTTP status
        return error_reply(status, knobs.invalid_key_code, message_texts.INVALID_KEY, xml=route.xml)
    return error_reply(status, status, text, xml=route.xml)
