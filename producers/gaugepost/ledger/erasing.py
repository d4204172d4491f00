"""Erase a person: cancel what was not sent, and remove data, results and messages from all other jobs of the person."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed, InvalidQuery
from gaugepost.files.limits import PART_BYTES
from gaugepost.ledger.finding import find, run
from gaugepost.ledger.indexing import index_older_jobs
from gaugepost.ledger.reference_query import Query
from gaugepost.ledger.references import normalise
from gaugepost.ledger.scripts import Argument, Call, our_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import redis

    from gaugepost.ledger.key_prefix import CurrentKeys
    from gaugepost.ledger.operations import Operation, Operations
    from gaugepost.ledger.producer_calls import ProducerCalls
    from gaugepost.ledger.scripts import Runner
    from gaugepost.ledger.views import JobView

AT_ONCE = 50
_CLEAR = ("kind", "region", "configuration")
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class Person:
    """Who is erased. `email` and `phone` as they were given; at least one of them."""

    email: str | None = None
    phone: str | None = None

    def query(self) -> Query:
        """Return the query for the person's jobs: those with the address or number as a field, key or label.

        Raises InvalidQuery.
        """
        asked: list[tuple[str, str]] = []
        for sort, value in (("email", self.email), ("phone", self.phone)):
            if value is None:
                continue
            given = value.strip()
            if sort == "email" and "@" not in given:
                raise InvalidQuery("email: expected an e-mail address")
            asked += Query.of(None, {sort: given}, None, None).any_of
            spellings = dict.fromkeys((given, normalise(sort, given)))
            asked += [(other, one) for other in ("key", "label") for one in spellings]
        if not asked:
            raise InvalidQuery("expected an e-mail address or a phone number")
        return Query(tuple(asked))

    def pattern(self) -> re.Pattern[str]:
        """Return what finds the person in a text: upper and lower case are equal, and signs between digits are free."""
        parts = [re.escape(self.email.strip())] if self.email is not None else []
        if self.phone is not None:
            parts.append(r"(?<!\d)" + r"[ ()./+-]*".join(normalise("phone", self.phone)) + r"(?!\d)")
        return re.compile("|".join(parts), re.IGNORECASE)


@dataclass(frozen=True)
class Receipt:
    """What one call did in a region.

    `cancelled`: jobs that were not sent; `stripped`: jobs whose data was removed; `sending`: jobs whose data is removed
    when they have been sent. `parts`: file parts whose kept content has the person. `unread`: file parts that could not
    be searched, because they are workbooks or encrypted with another key. `operations`: those that were aborted because
    their references had the person, or they would have written the person into jobs; `unread` has those that could not
    be searched, too.
    """

    cancelled: int = 0
    stripped: int = 0
    sending: int = 0
    parts: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()

    @property
    def jobs(self) -> int:
        """How many jobs of the person this call found."""
        return self.cancelled + self.stripped + self.sending


class Erasure:
    """Erases persons in one region."""

    def __init__(
        self, client: redis.Redis, run: Runner, calls: ProducerCalls, keys: CurrentKeys, operations: Operations
    ) -> None:
        self._operations = operations
        self._client: Any = client
        self._run = run
        self._calls = calls
        self._keys = keys

    def count(self, person: Person) -> int:
        """Return how many jobs of a person are found, 1,000 at most; first index the jobs of older versions."""
        self._index()
        return len(run(find(self._calls, person.query(), 1_000, most=None), self._run))

    def erase(self, person: Person, at: int, by: str = "", did: Callable[[int], None] = lambda _: None) -> Receipt:
        """Erase a person. A repeated call goes on where an earlier one was killed. `did`: gets the number of jobs."""
        self._index()
        operations, sealed = self._abort_operations(person)  # before its jobs are looked up
        self._run(self.step((), at, by))  # what workers of older versions have left
        done = {"cancelled": 0, "stripped": 0, "sending": 0}
        while found := run(find(self._calls, person.query(), AT_ONCE, most=None), self._run):
            outcomes = self._run(self.step(found, at, by))
            for name in done:
                done[name] += outcomes.count(name)
            did(sum(outcomes.count(name) for name in done))
            if not set(outcomes) & done.keys():  # the rest was erased before
                break
        parts, unread = self._parts_with(person.pattern())
        return Receipt(**done, parts=parts, unread=(*unread, *sealed), operations=operations)

    def _abort_operations(self, person: Person) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Abort operations whose references or edits have the person, and strip those that an older version ended.

        Return their ids, and those of operations that could not be searched.
        """
        references = self._calls.cipher.references
        hashes = {one for sort, value in person.query().any_of for one in references(sort, value)}
        pattern, having, unread = person.pattern(), [], []
        for one in self._operations.about_people():
            if one.has_ended:
                self._operations.abort(one.id)  # strips it, whomever it has
                continue
            try:
                has_person = bool(one.hashes & hashes) or self._edits_match(one, pattern)
            except DataSealed:
                unread.append(one.id)
                continue
            if has_person:
                self._operations.abort(one.id)
                having.append(one.id)
        return tuple(having), tuple(unread)

    def _edits_match(self, operation: Operation, pattern: re.Pattern[str]) -> bool:
        """Return whether an operation would write the person into jobs. Raises DataSealed."""
        edits = self._operations.edits_of(operation)
        return edits is not None and any(pattern.search(change.value or "") for change in edits.changes)

    def _index(self) -> None:
        """Index the jobs of older versions, else they are not found."""
        while index_older_jobs(self._calls.keys, self._calls.cipher, self._run):
            pass

    def step(self, views: Sequence[JobView], at: int, by: str) -> Call[list[str]]:
        """Erase some jobs. Return for each `cancelled`, `stripped`, `sending`, `erased` (before) or an empty text."""
        args: list[Argument] = [json.dumps({"event": "erased", "at": at, "by": by})]
        for view in views:
            clear = {name: view.job.get(name) for name in _CLEAR}
            args += (view.id, json.dumps({name: value for name, value in clear.items() if value is not None}))
        return Call("erase", self._calls.queues, args, lambda answer: [one.decode() for one in answer])

    def _parts_with(self, pattern: re.Pattern[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the ids of the files whose kept content matches, and of those that could not be searched."""
        having, unread = [], []
        for job_id, packed in self._contents():
            text = self._text(packed)
            if text is None:
                unread.append(job_id)
            elif pattern.search(text):
                having.append(job_id)
        return tuple(having), tuple(unread)

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        keys = self._keys.keys()
        with our_errors():
            ids = [one.decode() for one in self._client.zrange(keys["contents"], 0, -1)]
        for job_id in ids:
            with our_errors():
                packed = self._client.get(keys.of("content:", job_id))
            if packed is not None:
                yield job_id, packed

    def _text(self, packed: bytes) -> str | None:
        try:
            content = zlib.decompressobj().decompress(self._calls.cipher.decrypt_content(packed), PART_BYTES)
        except (DataSealed, zlib.error):
            return None
        return None if content.startswith(_ZIP) else content.decode(errors="replace")
