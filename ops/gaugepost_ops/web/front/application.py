"""The ASGI application of the front: it answers `/customergauge/…`, and passes all other requests on."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from gaugepost.errors import GaugepostError, IdempotencyConflict, InvalidJob
from gaugepost.ledger import Entry
from gaugepost.ledger.api_keys import Scope
from gaugepost_ops.cli.jobs.json_lines import MAX_LINE
from gaugepost_ops.web.callers import digest_of_key
from gaugepost_ops.web.front import dialects, inputs, jobs
from gaugepost_ops.web.front.dialects import V41, json_response
from gaugepost_ops.web.front.outcomes import later, outcome, wait_of
from gaugepost_ops.web.front.refusals import empty_field, refusal_of
from gaugepost_ops.web.front.routes import PREFIX, Missing, Route, find
from gaugepost_ops.web.front.tokens import TOKEN_S, Tokens
from gaugepost_ops.web.front.watching import Watching
from gaugepost_ops.web.gateway import header
from gaugepost_ops.web.json_jobs import permitted
from gaugepost_ops.web.large_bodies import BODIES
from gaugepost_ops.web.observed import KEY, REGION, ROUTE
from gaugepost_ops.web.problems import Refused, of_disk, refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Send
    from starlette.types import Scope as RequestScope

    from gaugepost.jobs import AnyJob
    from gaugepost_ops.web.callers import Caller
    from gaugepost_ops.web.gateway import Gateway

log = structlog.get_logger("gaugepost.gateway")

JOB_HEADER = "Gaugepost-Job"


class Front:
    """CustomerGauge's own calls, for each region."""

    def __init__(self, gateway: Gateway, rest: ASGIApp) -> None:
        self._gateway = gateway
        self._rest = rest
        self._tokens = Tokens(gateway.store)
        self._watching = Watching(gateway.store, gateway.stopping)

    async def __call__(self, scope: RequestScope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._rest(scope, receive, send)
            return
        route = find(scope["method"], scope["path"])
        scope[ROUTE] = route.name
        if isinstance(route, Missing):
            await route.answer(scope, receive, send)
            return
        has_begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            response = await self._answer(route, scope, receive)
            await response(scope, receive, send_and_note)
        except ClientDisconnect:
            return
        except Exception as error:
            if has_begun:
                raise
            await _refusal(error, route)(scope, receive, send)

    async def _answer(self, route: Route, request: RequestScope, receive: Receive) -> Response:
        if route.region not in self._gateway.settings.regions:
            raise Refused(HTTPStatus.NOT_FOUND, f"{route.region} is not served here: it is not in GAUGEPOST_REGIONS")
        if route.call == "token":
            return await self._token(route, request, receive)
        caller = await self._caller(route, request)
        most = inputs.MAX_FILE_BODY if route.call == "file" else MAX_LINE
        body = await inputs.body_of(request, receive, most)
        caller = await self._gateway.callers.again(caller)
        _in_region(caller, route)
        kind, key = inputs.content_type(request), _idempotency_key(request)
        entry = await BODIES.parse(body, lambda: self._entry(route, caller, kind, body, key))
        return entry if isinstance(entry, Response) else await self._enqueue(route, request, caller, entry)

    def _entry(self, route: Route, caller: Caller, kind: str, body: bytes, key: str | None) -> Entry | Response:
        """Return the checked job of a call, or the refusal of its fields."""
        try:
            job = _job(route, kind, body)
            if isinstance(job, Response):
                return job
            return Entry.of(permitted(job, caller, self._gateway.settings, key), self._gateway.store.mappings)
        except InvalidJob as error:
            return refusal_of(error, route.dialect)

    async def _token(self, route: Route, request: RequestScope, receive: Receive) -> Response:
        """Answer `POST /oauth2/token`: the client's id is the name of a key, its secret the key."""
        given = dict(inputs.read_pairs(request["query_string"]))
        body = await inputs.body_of(request, receive)
        if "urlencoded" in inputs.content_type(request).lower():
            given |= dict(inputs.read_pairs(body))
        if given.get("grant_type") != "client_credentials":
            return json_response(HTTPStatus.BAD_REQUEST, {"error": "unsupported_grant_type"})
        secret = given.get("client_secret", "").strip()  # one page of CustomerGauge has a blank behind it
        caller = await self._gateway.callers.holder(digest_of_key(secret))
        request[KEY], request[REGION] = caller.name, caller.regions[0]
        if caller.name != given.get("client_id", "").strip():
            return route.dialect.unauthenticated()
        _in_region(caller, route)
        token = await self._tokens.issue(route.region, secret)
        found = {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_S}
        return json_response(HTTPStatus.OK, found, {"Cache-Control": "no-store"})

    async def _caller(self, route: Route, request: RequestScope) -> Caller:
        """Return who calls: by `Bearer <token>`, or `api_key <key>` in v4.1. Raises Refused."""
        scheme, _, value = (header(request, b"authorization") or "").partition(" ")
        value = value.strip()
        if scheme.lower() == "bearer":
            digest = digest_of_key(value) or await self._tokens.digest(route.region, value)
        else:
            digest = digest_of_key(value) if scheme == "api_key" and isinstance(route.dialect, V41) else ""
        caller = await self._gateway.callers.holder(digest)
        request[KEY], request[REGION] = caller.name, caller.regions[0]
        _in_region(caller, route)
        caller.require(Scope.ENQUEUE)
        return caller

    async def _enqueue(self, route: Route, request: RequestScope, caller: Caller, entry: Entry) -> Response:
        """Store a job, and answer once it is durable, or once CustomerGauge has answered."""
        gateway = self._gateway
        accepted = await gateway.accept_one(entry)
        BODIES.release(request)  # a caller that waits keeps no memory from others
        if accepted.conflict:
            raise IdempotencyConflict(accepted.id)
        if isinstance(route.dialect, V41):
            response = route.dialect.accepted()
        elif route.call == "record":
            response = Response(status_code=HTTPStatus.OK)
        else:
            seconds = wait_of(route, header(request, b"prefer"))
            try:
                response = await outcome(gateway, self._watching, caller, route, accepted, seconds)
            except GaugepostError:  # the job is stored: a 503 would let the caller send it again
                response = later(accepted.id)
            except Refused as error:
                response = _refusal(error, route)
        response.headers[JOB_HEADER] = accepted.id
        return response


def _in_region(caller: Caller, route: Route) -> None:
    """Raise Refused (401) for a key of another region, StoreUnreachable if its region is away."""
    if route.region not in caller.grants and route.region not in caller.away:
        raise Refused(HTTPStatus.UNAUTHORIZED, "this key is not for this region")
    caller.key_for(route.region)


def _idempotency_key(request: RequestScope) -> str | None:
    found = [value for name, value in request["headers"] if name == b"idempotency-key"]
    if len(found) > 1 or (found and not found[0].isascii()):
        raise Refused(HTTPStatus.BAD_REQUEST, "expected the header Idempotency-Key once, in ASCII")
    return found[0].decode() if found else None


def _job(route: Route, kind: str, body: bytes) -> AnyJob | Response:
    """Return the job of a call, or the refusal of a call that lacks what CustomerGauge requires."""
    if not isinstance(route.dialect, V41):
        return jobs.job_of_object(route, inputs.read_object(kind, body, jobs.FIELDS[route.call]))
    if route.call == "response":
        fields = inputs.read_v41(kind, body).fields
        if not any(name.lower() == "email" and value.strip() for name, value in fields.items()):
            return empty_field("email", route.dialect)
        return jobs.job_of_form(route, fields)
    files = inputs.read_v41(kind, body).files
    name, content = files.get("file", ("", b""))
    if not name:
        return empty_field("file", route.dialect, dialects.REQUIRED_FIELD)
    return jobs.job_of_file(route, name, content)


def _refusal(error: Exception, route: Route) -> Response:
    """Return the answer to an error, in the shape of the call. An unexpected error is logged, without data."""
    if isinstance(error, InvalidJob):
        return refusal_of(error, route.dialect)
    error = refused(error) if isinstance(error, GaugepostError) else of_disk(error)
    if not isinstance(error, Refused):
        log.error("failed", exc_info=error)
        error = Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed: its log has the reason")
    if error.status is HTTPStatus.UNAUTHORIZED:
        return route.dialect.unauthenticated()
    return route.dialect.refusal(error.status, error.detail, error.headers)
