"""The endpoints of webhooks of one region, for operators: where workers send events, and the secrets that sign them.

The scripts write events into the outbox of an endpoint (lua/lib/events.lua); webhook_outbox.py has the workers' part.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.scripts import Call, our_errors
from gaugepost.ledger.webhook_records import MOST_ENDPOINTS, MOST_OF_REGION, Endpoint, Numbers, OutboxEvent, Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import redis

    from gaugepost.encryption import Cipher
    from gaugepost.keys import Keys
    from gaugepost.ledger.key_prefix import CurrentKeys
    from gaugepost.ledger.scripts import Argument, Runner

_RETRIED_AT_ONCE = 1_000
_PAGE = 500


class Webhooks:
    """The endpoints of one region, for operators. All calls raise the StoreErrors of errors.py."""

    def __init__(self, client: redis.Redis, run: Runner, keys: Keys, current_keys: CurrentKeys, cipher: Cipher) -> None:
        self._client: Any = client
        self._run = run
        self._prefix = (keys.prefix,)
        self._current_keys = current_keys
        self._cipher = cipher

    def put(self, endpoint: Endpoint, secret: str) -> bool:
        """Store a new endpoint; False if the region has MOST_ENDPOINTS already."""
        sealed = self._seal([Secret(secret)])
        return self._run(
            Call("webhook_put", self._prefix, [endpoint.id, endpoint.to_json(), sealed, MOST_ENDPOINTS], bool)
        )

    def drop(self, endpoint_id: str) -> bool:
        """Delete an endpoint with its events; False if there is none of this id."""
        return self._run(Call("webhook_drop", self._prefix, [endpoint_id], bool))

    def read(self) -> list[Endpoint]:
        """Return all endpoints with their numbers, in the order of their creation."""
        keys = self._current_keys.keys()
        with our_errors():
            rows: dict[bytes, bytes] = self._client.hgetall(keys["webhooks"])
            pipe = self._client.pipeline(transaction=False)
            for name in map(bytes.decode, rows):
                pipe.hgetall(keys.of("webhook:", name))
                pipe.zcard(keys.of("given_up:", name))
                pipe.llen(keys.of("untried:", name))
                pipe.zcard(keys.of("outbox:", name))
            answers = pipe.execute() if rows else []
        found, share = list[Endpoint](), MOST_OF_REGION // max(1, len(rows))
        for i, (endpoint_id, text) in enumerate(rows.items()):
            flat, given_up, untried, tried = answers[4 * i : 4 * i + 4]
            numbers = Numbers.read(flat, untried + tried, given_up)
            found.append(Endpoint.read(endpoint_id.decode(), text, numbers, share))
        return sorted(found, key=lambda one: (one.created, one.id))

    def get(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint without its numbers; None for an unknown id."""
        with our_errors():
            text = self._client.hget(self._current_keys.keys()["webhooks"], endpoint_id)
        return None if text is None else Endpoint.read(endpoint_id, text)

    def find(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint with its numbers; None for an unknown id."""
        return next((one for one in self.read() if one.id == endpoint_id), None)

    def rotate(self, endpoint_id: str, secret: str, now: int, keep_until: int) -> bool:
        """Sign with a new secret from now on, and until `keep_until` (Unix ms) with the former ones, too.

        Return False for an unknown endpoint, or if another call has changed its secrets meanwhile. Raises DataSealed;
        but if no former secret is kept, a process with a DATA_KEY does not need to decrypt them.
        """
        before = self._stored_secrets(endpoint_id)
        if before is None:
            return False
        is_read = keep_until > now or not self._cipher.encrypts
        former = self._open(before) if is_read else []
        kept = [replace(one, until=min(one.until or keep_until, keep_until)) for one in former]
        now_valid = [one for one in kept if one.until is not None and one.until > now]
        sealed = self._seal([Secret(secret), *now_valid])
        return self._run(Call("webhook_secrets", self._prefix, [endpoint_id, before, sealed], bool))

    def secrets(self, endpoint_id: str, now: int) -> list[str]:
        """Return the secrets that sign now, the newest first; none for an unknown endpoint. Raises DataSealed."""
        stored = self._stored_secrets(endpoint_id)
        return [] if stored is None else [s.text for s in self._open(stored) if s.until is None or s.until > now]

    def renew(self, endpoint_id: str) -> None:
        """Encrypt the secrets of an endpoint with the first DATA_KEY, and note that they can be read.

        Raises DataSealed.
        """
        stored = self._stored_secrets(endpoint_id)
        if stored is not None:
            renewed = stored if self._cipher.is_current(stored) else self._seal(self._open(stored))
            self._run(Call("webhook_secrets", self._prefix, [endpoint_id, stored, renewed], bool))

    def test(self, endpoint_id: str) -> str | None:
        """Write an event `webhook.test`; return its id, or None if the endpoint is unknown or disabled."""
        return self._run(Call("webhook_test", self._prefix, [endpoint_id], lambda answer: answer.decode() or None))

    def event(self, endpoint_id: str, event_id: str) -> OutboxEvent | None:
        """Return an event that is not delivered; None if it is, or if the endpoint was deleted."""
        keys = self._current_keys.keys()
        with our_errors():
            text = self._client.hget(keys.of("events:", endpoint_id), event_id)
        return None if text is None else OutboxEvent.read(event_id, text)

    def forget(self, endpoint_id: str, event_id: str) -> None:
        """Delete an event that is not to be sent any more."""
        self._run(Call("webhook_settle", self._prefix, [endpoint_id, 0, "", 0, event_id, "unwanted", ""], bool))

    def failures(self, endpoint_id: str, most: int = 100) -> list[OutboxEvent]:
        """Return events that failed: those that were given up, then those that are tried again, soonest first."""
        keys, found = self._current_keys.keys(), list[OutboxEvent]()
        for name in ("given_up:", "outbox:"):
            key, first = keys.of(name, endpoint_id), 0
            while len(found) < most:
                with our_errors():
                    page = self._client.zrange(key, first, first + _PAGE - 1, withscores=True)
                if not page:
                    break
                found += self._failed_of(keys.of("events:", endpoint_id), page, is_given_up=name == "given_up:")
                first += len(page)
        return found[:most]

    def _failed_of(self, key: str, page: Sequence[tuple[bytes, float]], *, is_given_up: bool) -> Iterator[OutboxEvent]:
        with our_errors():
            texts = self._client.hmget(key, [name for name, _ in page])
        for (name, due), text in zip(page, texts, strict=True):
            event = text and OutboxEvent.read(name.decode(), text, None if is_given_up else int(due))
            if event and event.tries:
                yield event

    def retry(self, endpoint_id: str, event_id: str = "") -> int | None:
        """Make one event due now, or all that failed, and enable the endpoint. Return how many; None: unknown id."""
        total = 0
        while True:
            args: list[Argument] = [endpoint_id, event_id, _RETRIED_AT_ONCE]
            done = self._run(Call("webhook_retry", self._prefix, args, int))
            if done < 0:
                return None
            total += done
            if done < _RETRIED_AT_ONCE:
                return total

    def _stored_secrets(self, endpoint_id: str) -> bytes | None:
        with our_errors():
            found: bytes | None = self._client.hget(self._current_keys.keys()["webhook_secrets"], endpoint_id)
        return found

    def _seal(self, rows: Sequence[Secret]) -> str:
        return self._cipher.encrypt_text(json.dumps([{"secret": one.text, "until": one.until} for one in rows]))

    def _open(self, stored: bytes) -> list[Secret]:
        return [Secret(row["secret"], row["until"]) for row in json.loads(self._cipher.decrypt_text(stored))]
