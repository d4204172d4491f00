"""Sends the request of a job, and judges each answer.

A job has one attempt, or two if CustomerGauge refuses its token: the second has a new token. Just before the first byte
the worker checks its lease, and writes the sending mark of a job that must not go out twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gaugepost.verdict import Verdict
from gaugepost_tasks.answers.verdicts import cap_retry_after, judge, may_be_done
from gaugepost_tasks.endpoints.handlers import parse_answer
from gaugepost_tasks.http_messages import credential_header
from gaugepost_workers.exchange import Exchange
from gaugepost_workers.lease import LeaseOver

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed, WorkerLedger
    from gaugepost_tasks.http import HttpClient
    from gaugepost_tasks.http_messages import Answer, Judgement, Request
    from gaugepost_workers.clock import Clock
    from gaugepost_workers.lease import Lease
    from gaugepost_workers.tokens import Tokens


class SlotTaken(Exception):  # noqa: N818
    """Raised just before the first byte. Nothing was sent: another file has the upload slot."""


@dataclass(slots=True)
class Progress:
    """How far the delivery of one job has come. Only its sender thread has it."""

    lease: Lease
    exchanges: list[Exchange] = field(default_factory=list)
    is_marked: bool = False
    """Its sending mark is written, so its first byte may have been sent."""

    @property
    def claimed(self) -> Claimed:
        return self.lease.claimed


class Attempts:
    """Makes the attempts of a region's jobs. Thread-safe: what belongs to one job is in its `Progress`.

    `api_key` and `tokens`: the credentials of the region, None if not set. `longest_wait_s`: limit of a Retry-After.
    """

    def __init__(
        self,
        ledger: WorkerLedger,
        http: HttpClient,
        api_key: str | None,
        tokens: Tokens | None,
        longest_wait_s: float,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._http = http
        self._api_key = api_key or ""
        self._tokens = tokens
        self._longest_wait_s = longest_wait_s
        self._clock = clock

    def make(self, progress: Progress, request: Request) -> None:
        """Send the request, and once again with a new token if its token was refused. Add each exchange to `progress`.

        Raises TokenUnavailable; and LeaseOver, SlotTaken, StoreError: then the last request was not sent.
        """
        if self._tokens is None or request.auth == "api_key":
            self._exchange(progress, request, self._api_key, fresh_token=True)
            return
        token = self._tokens.get()
        verdict = self._exchange(progress, request, token.value, fresh_token=False)
        if verdict is Verdict.UNAUTHENTICATED:
            self._tokens.drop(token)
            self._exchange(progress, request, self._tokens.get().value, fresh_token=True)

    def _exchange(self, progress: Progress, request: Request, credential: str, *, fresh_token: bool) -> Verdict:
        """Send the request once, judge the answer and add both to the progress. Return the verdict."""
        at, began = int(self._clock.wall() * 1000), self._clock.monotonic()
        header = credential_header(request.auth, credential)
        answer = self._http.exchange(request, header, lambda: self._before_first_byte(progress))
        judgement = self._judge(progress.claimed, answer, credential, fresh_token=fresh_token)
        progress.exchanges.append(Exchange(answer, judgement, at, began))
        return judgement.verdict

    def _judge(self, claimed: Claimed, answer: Answer, credential: str, *, fresh_token: bool) -> Judgement:
        judgement = judge(
            parse_answer(claimed.job, answer),
            fresh_token=fresh_token,
            may_be_done=may_be_done(claimed.job, claimed.history.attempts()),
            now=self._clock.wall(),
            secrets=(credential,),
        )
        return cap_retry_after(judgement, self._longest_wait_s)

    def _before_first_byte(self, progress: Progress) -> None:
        """Check the lease, and write the sending mark if the job needs one.

        Raises LeaseOver, SlotTaken, StoreError: then nothing is sent.
        """
        progress.lease.check(self._clock.lease())
        if progress.claimed.job.once:
            self._mark(progress)
            progress.lease.check(self._clock.lease())  # Redis may have taken long

    def _mark(self, progress: Progress) -> None:
        done, _ = self._ledger.mark(progress.claimed)
        if done == 0:
            raise SlotTaken
        if done < 0:
            raise LeaseOver
        progress.is_marked = True
