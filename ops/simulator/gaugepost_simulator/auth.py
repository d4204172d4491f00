"""Check credentials and tokens. Each belongs to one region; a refusal has the answer format of its endpoint."""

from gaugepost_simulator import message_texts
from gaugepost_simulator.forms import read_pairs
from gaugepost_simulator.messages import Reply, error_reply, json_reply, refusal
from gaugepost_simulator.state import Answer, Call, SimulatorState


def post_token(state: SimulatorState, call: Call) -> Answer:
    """POST /oauth2/token: read client id and secret from the form, or from the query, as one public client sends."""
    fields = dict(read_pairs(call.request.query)) | call.form.fields
    if fields.get("grant_type") != "client_credentials":
        return Answer(json_reply(400, {"error": "unsupported_grant_type"}))
    known = state.knobs.credentials.get(call.route.region)
    given = (fields.get("client_id", ""), fields.get("client_secret", ""))
    if known is None or "" in given or given != (known.client_id, known.client_secret):
        return Answer(json_reply(401, {"error": "invalid_client", "error_description": "Client authentication failed"}))
    knobs = state.knobs
    token = state.tokens.issue(call.route.region, knobs.token_lifetime)
    reply: dict[str, object] = {"access_token": token, "token_type": "Bearer"}
    if knobs.token_expires_in_shown:
        reply["expires_in"] = int(knobs.token_lifetime)
    return Answer(json_reply(200, reply))


def check_caller(state: SimulatorState, call: Call) -> Reply | None:
    """Return a 401 for a call without valid credentials, else None."""
    if call.route.answer_format == "oauth":
        return None
    scheme, _, value = call.request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and state.tokens.valid(call.route.region, value):
        return None
    if call.route.answer_format == "laravel":
        return refusal(401, message_texts.UNAUTHENTICATED)
    known = state.knobs.credentials.get(call.route.region)
    if scheme == "api_key" and known is not None and value and value == known.api_key:
        return None
    return error_reply(401, state.knobs.invalid_key_code, message_texts.INVALID_KEY, xml=call.route.xml)
