"""Check the shared token in one process, with a real Redis: many threads and workers that ask at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gaugepost import Verdict
from gaugepost_tasks.endpoints.token import TokenAnswer
from gaugepost_tasks.http_messages import Judgement
from gaugepost_workers.tokens import Token, Tokens, TokenUnavailable
from support.stack import Stack
from support.worker_ledger import worker_ledger


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as stack:
        yield stack


class Herd:
    """`Tokens` of many worker processes on one Redis, and a token endpoint that counts requests."""

    def __init__(self, stack: Stack, size: int, answer: TokenAnswer | None = None) -> None:
        self.fetched = 0
        self._answer = answer
        ledger = worker_ledger(stack.producer)
        self.members = [Tokens(ledger, "secret", self.fetch, 2.0) for _ in range(size)]

    def fetch(self) -> TokenAnswer:
        self.fetched += 1
        return self._answer or TokenAnswer(f"token-{self.fetched}", 3600.0)

    def get(self) -> list[Token | TokenUnavailable]:
        """Request the token from all members at the same moment."""
        got: list[Token | TokenUnavailable] = []
        barrier = threading.Barrier(len(self.members))

        def one(tokens: Tokens) -> None:
            barrier.wait()
            try:
                got.append(tokens.get())
            except TokenUnavailable as error:
                got.append(error)

        threads = [threading.Thread(target=one, args=(tokens,)) for tokens in self.members]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return got


def test_a_herd_without_a_token_fetches_it_once(stack: Stack) -> None:
    herd = Herd(stack, 60)
    assert {token.value for token in herd.get() if isinstance(token, Token)} == {"token-1"}
    assert herd.fetched == 1


def test_a_refused_token_is_dropped_once_however_many_were_refused(stack: Stack) -> None:
    herd = Herd(stack, 20)
    old = [token for token in herd.get() if isinstance(token, Token)]
    herd.members[0].drop(old[0])
    fresh = herd.members[0].get()
    for tokens, token in zip(herd.members[1:], old[1:], strict=True):
        tokens.drop(token)  # late: another worker has fetched a newer one meanwhile, which must stay
    assert {token.value for token in herd.get() if isinstance(token, Token)} == {fresh.value} == {"token-2"}
    assert herd.fetched == 2


def test_no_thread_gets_a_token_again_that_it_dropped(stack: Stack) -> None:
    tokens = Herd(stack, 1).members[0]
    done = threading.Event()

    def start_jobs() -> None:
        while not done.is_set():
            tokens.get()

    def replace_refused_token(_: int) -> bool:
        refused = tokens.get()
        tokens.drop(refused)
        return tokens.get().generation > refused.generation

    with ThreadPoolExecutor(2) as others:
        for _ in range(2):
            others.submit(start_jobs)
        try:
            assert all(map(replace_refused_token, range(200)))
        finally:
            done.set()


def test_herd_of_jobs_requests_an_unavailable_token_once(stack: Stack) -> None:
    refusal = TokenAnswer(judgement=Judgement(Verdict.REFUSED_CREDENTIALS, "HTTP 401"))
    herd = Herd(stack, 40, refusal)
    got = herd.get()
    assert {error.judgement.verdict for error in got if isinstance(error, TokenUnavailable)} == {"refused_credentials"}
    assert len(got) == 40
    assert herd.fetched == 1


def test_shared_token_is_encrypted_in_redis_under_the_client_secret(stack: Stack) -> None:
    herd = Herd(stack, 1)
    herd.get()
    with stack.redis.client() as client:
        assert b"token-1" not in b"".join(value for _, value in client.hgetall("gaugepost:{eu}:token").items())
    other = Tokens(worker_ledger(stack.producer), "another secret", lambda: TokenAnswer("token-x", None), 2.0)
    assert other.get().value == "token-x"
