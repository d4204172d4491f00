"""Delivers one claimed job to CustomerGauge: build → send → judge → decide.

It knows no queue and no other job: it gets the lease on a job and returns the settlement.
"""

from __future__ import annotations

import random
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from gaugepost.errors import DataSealed, StoreError
from gaugepost.jobs import File
from gaugepost.jobs.base import SealedJob
from gaugepost.ledger import Settlement
from gaugepost.transitions import Check, Dead, Decision
from gaugepost.verdict import Verdict
from gaugepost_tasks.backoff import UPLOAD_POLL
from gaugepost_tasks.endpoints.handlers import HANDLERS
from gaugepost_tasks.endpoints.token import fetch_token
from gaugepost_tasks.http_messages import Answer, Endpoints, Judgement, Request, credential_header
from gaugepost_tasks.policy import Facts, decide, missing_credentials, missing_data_key, wait_for_token
from gaugepost_tasks.upload_tracking import Look, RowRange, decide_on_upload, is_answered
from gaugepost_tasks.verdicts import cap_retry_after, judge, may_be_done
from gaugepost_workers.clock import SYSTEM_CLOCK
from gaugepost_workers.credentials import Credentials
from gaugepost_workers.exchange import Exchange, attempts_of, log_attempts
from gaugepost_workers.lease import LeaseOver
from gaugepost_workers.sender_pool import GIVE_BACK
from gaugepost_workers.tokens import Tokens, TokenUnavailable
from gaugepost_workers.upload_lookup import count_checks, find_upload, last_sending

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gaugepost.ledger import Claimed, WorkerLedger
    from gaugepost.settings import Settings
    from gaugepost_tasks.endpoints.token import TokenAnswer
    from gaugepost_tasks.http import HttpClient
    from gaugepost_workers.clock import Clock
    from gaugepost_workers.lease import Lease

log = structlog.get_logger("gaugepost.attempt")


class SlotTaken(Exception):  # noqa: N818
    """Raised just before the first byte. Nothing was sent: another file has the upload slot."""


@dataclass(slots=True)
class _Progress:
    """How far the delivery of one job has come. Only its sender thread has it."""

    lease: Lease
    exchanges: list[Exchange] = field(default_factory=list)
    is_marked: bool = False
    """Its sending mark is written, so its first byte may have been sent."""

    @property
    def claimed(self) -> Claimed:
        return self.lease.claimed


class Delivery:
    """Delivers the jobs of one region. Thread-safe: what belongs to one job is in its `_Progress`.

    `on_refused_alone`: see `credentials.Credentials`.
    """

    def __init__(
        self,
        ledger: WorkerLedger,
        http: HttpClient,
        settings: Settings,
        on_refused_alone: Callable[[str], None] = lambda _: None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._ledger = ledger
        self._http = http
        self._clock = clock
        self._schedules = settings.backoff
        self._longest_wait = settings.retry_after_cap
        self._poll = settings.upload_poll
        self._base = settings.record_number_base
        self._region = ledger.region
        self._endpoints = Endpoints.of(
            ledger.region,
            auth_url=settings.auth_url,
            imports_url=settings.imports_url,
            api_url=settings.api_url,
            file_paths=settings.file_paths(),
        )
        self.credentials = Credentials(ledger, settings.credentials(ledger.region), on_refused_alone)
        self._api_key = self.credentials.api_key
        self._tokens = self._open_tokens(settings.connect_timeout + settings.read_timeout + 1)

    def _open_tokens(self, fetch_timeout_s: float) -> Tokens | None:
        client_id, client_secret = self.credentials.client_id, self.credentials.client_secret
        if client_id is None or client_secret is None:
            return None
        return Tokens(
            self._ledger,
            client_secret,
            lambda: self._fetch_token(client_id, client_secret),
            fetch_timeout_s,
            self.credentials.fingerprints["oauth"],
            lambda: self.credentials.refused("oauth"),
        )

    def _fetch_token(self, client_id: str, client_secret: str) -> TokenAnswer:
        answer = fetch_token(self._http, self._endpoints, client_id, client_secret, now=self._clock.wall())
        if answer.judgement is None:
            return answer
        return replace(answer, judgement=cap_retry_after(answer.judgement, self._longest_wait))

    def deliver(self, lease: Lease) -> Settlement:
        """Send one job, unless its lease is over, and decide its outcome.

        Never raises: a bug of ours becomes a verdict too, so that no job is lost by it.
        """
        progress, claimed = _Progress(lease), lease.claimed
        try:
            return self._deliver(progress)
        except DataSealed as error:
            log.warning("job not decrypted", job=claimed.id, kind=claimed.job.kind, error=f"it {error}")
            return Settlement(claimed, missing_data_key(self._now_ms() - claimed.enqueued_at))
        except (SlotTaken, LeaseOver, StoreError):  # raised before the first byte, so nothing was sent
            return Settlement(claimed, GIVE_BACK)
        except Exception as error:  # noqa: BLE001 - its class goes into the job's history; its text may hold data
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.name} in {where.filename}:{where.lineno}"
            log.error("fault", job=claimed.id, kind=claimed.job.kind, error=type(error).__name__, where=place)  # noqa: TRY400
            verdict = Verdict.LOST_ANSWER if progress.is_marked else Verdict.SERVER_ERROR
            judgement = Judgement(verdict, f"a fault in gaugepost: {type(error).__name__}")
            progress.exchanges = [Exchange(Answer(None), judgement, self._now_ms())]
            return self._settlement(progress)

    def _deliver(self, progress: _Progress) -> Settlement:
        claimed, job = progress.claimed, progress.claimed.job
        if isinstance(job, SealedJob):
            raise DataSealed("is sealed under a key that is not in GAUGEPOST_DATA_KEY here")
        if job.needs not in self.credentials.fingerprints:
            return Settlement(claimed, missing_credentials(job.needs, self._missing_setting(job.needs)))
        if isinstance(job, File) and claimed.phase:
            return self._look_up(progress.lease, job)
        content = self._ledger.content(claimed.id) if job.kind == "file" else None
        if job.kind == "file" and content is None:
            return Settlement(claimed, Decision(Dead(Verdict.BAD_FILE)))
        request = HANDLERS[job.kind].build(job, self._endpoints, claimed.id, content)
        try:
            self._exchange_all(progress, request)
        except TokenUnavailable as error:
            return self._settlement(progress, GIVE_BACK if error.alone else wait_for_token(error.judgement))
        except LeaseOver:
            if not progress.exchanges:
                raise
        return self._settlement(progress)

    def _look_up(self, lease: Lease, job: File) -> Settlement:
        """Look a sent file up in the upload statistics: whether it arrived and was processed."""
        claimed = lease.claimed
        at = self._now_ms()
        sent_at = last_sending(claimed) or at
        seen = find_upload(self._http, self._endpoints, self._api_key or "", lease, job)
        found, looks, sent_s_ago = seen.upload, count_checks(claimed), self._clock.wall() - sent_at / 1000
        look = Look(claimed.phase, seen.complete, found, looks, sent_s_ago, random.random(), self._poll)  # noqa: S311
        stored = job.stored
        rows = RowRange(stored.first_row, stored.rows, self._base) if stored else RowRange(1, 0)
        processed = found is not None and found.processed
        answered = is_answered(seen.status)
        check = Check(at, seen.status, found is not None, processed, seen.upload_id, seen.complete, answered)
        return Settlement(claimed, decide_on_upload(look, rows), check=check)

    def _missing_setting(self, needs: str) -> str:
        region = self._region.upper()
        if needs == "api_key":
            return f"{region}_API_KEY"
        return f"{region}_CLIENT_ID" if self.credentials.client_id is None else f"{region}_CLIENT_SECRET"

    def _exchange_all(self, progress: _Progress, request: Request) -> None:
        """Send the request, and once again with a new token if its token was refused. Raises TokenUnavailable."""
        if self._tokens is None or request.auth == "api_key":
            self._exchange(progress, request, self._api_key or "", fresh_token=True)
            return
        token = self._tokens.get()
        verdict = self._exchange(progress, request, token.value, fresh_token=False)
        if verdict is Verdict.UNAUTHENTICATED:
            self._tokens.drop(token)
            self._exchange(progress, request, self._tokens.get().value, fresh_token=True)

    def _exchange(self, progress: _Progress, request: Request, credential: str, *, fresh_token: bool) -> Verdict:
        """Send the request once, judge the answer and add both to the progress. Return the verdict."""
        at, began, claimed = self._now_ms(), self._clock.monotonic(), progress.claimed
        header = credential_header(request.auth, credential)
        answer = self._http.exchange(request, header, lambda: self._before_first_byte(progress))
        done = may_be_done(claimed.job, claimed.history.attempts())
        judgement = judge(
            claimed.job,
            answer,
            fresh_token=fresh_token,
            may_be_done=done,
            now=self._clock.wall(),
            secrets=(credential,),
        )
        progress.exchanges.append(Exchange(answer, cap_retry_after(judgement, self._longest_wait), at, began))
        return judgement.verdict

    def _before_first_byte(self, progress: _Progress) -> None:
        """Check the lease, and write the sending mark if the job needs one, just before the first byte.

        Raises LeaseOver, SlotTaken, StoreError: then nothing is sent.
        """
        progress.lease.check(self._clock.lease())
        if progress.claimed.job.once:
            self._mark(progress)
            progress.lease.check(self._clock.lease())  # Redis may have taken long

    def _mark(self, progress: _Progress) -> None:
        done, _ = self._ledger.mark(progress.claimed)
        if done == 0:
            raise SlotTaken
        if done < 0:
            raise LeaseOver
        progress.is_marked = True

    def _decide(self, claimed: Claimed, judgement: Judgement) -> Decision:
        needs = claimed.job.needs
        if judgement.verdict is Verdict.DELIVERED:
            self.credentials.accepted(needs)
        elif judgement.verdict is Verdict.REFUSED_CREDENTIALS and self.credentials.refused(needs):
            return GIVE_BACK
        known = facts(claimed, self._schedules, self._poll, self.credentials.fingerprints.get(needs))
        return decide(judgement, known)

    def _settlement(self, progress: _Progress, decision: Decision | None = None) -> Settlement:
        """Return the settlement with an attempt for each exchange. Without a `decision` the last answer decides."""
        claimed = progress.claimed
        last = progress.exchanges[-1] if progress.exchanges else None
        if decision is None:
            assert last is not None  # noqa: S101 - without an exchange the caller decides
            decision = self._decide(claimed, last.judgement)
        attempts = attempts_of(claimed, progress.exchanges, last_counts=decision.counted)
        log_attempts(claimed, attempts)
        return Settlement(claimed, decision, attempts, began=last.began if last else None)

    def _now_ms(self) -> int:
        """Return the Unix time in ms, for the history. Nothing is decided by it."""
        return int(self._clock.wall() * 1000)


def facts(
    claimed: Claimed,
    schedules: Mapping[Verdict, Sequence[float]],
    poll: Sequence[float] = UPLOAD_POLL,
    fingerprint: str | None = None,
) -> Facts:
    """Gather what the policy needs beside the answer. `schedules`: verdict → back-off delays in seconds."""
    return Facts(
        job=claimed.job,
        attempts=claimed.history.since_replay(),
        may_be_done=may_be_done(claimed.job, claimed.history.attempts()),
        probe=claimed.probe,
        probe_about=claimed.probe_verdict,
        rand=random.random(),  # noqa: S311 - jitter
        schedules=schedules,
        poll=poll,
        fingerprint=fingerprint,
    )
