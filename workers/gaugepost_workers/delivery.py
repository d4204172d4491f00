"""Delivers one claimed job to CustomerGauge: build → send → judge → decide.

It knows no queue and no other job: it gets the lease on a job and returns the settlement.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import structlog

from gaugepost.encryption import NOT_OUR_KEY
from gaugepost.errors import DataSealed, StoreError
from gaugepost.jobs import File
from gaugepost.jobs.base import SealedJob
from gaugepost.ledger import Settlement
from gaugepost.transitions import Dead, Decision
from gaugepost.verdict import Verdict
from gaugepost_tasks.endpoints.handlers import HANDLERS
from gaugepost_tasks.http_messages import Answer, Endpoints, Judgement
from gaugepost_tasks.policy import decide, missing_credentials, missing_data_key, wait_for_token
from gaugepost_workers.attempts import Attempts, Progress, SlotTaken
from gaugepost_workers.clock import SYSTEM_CLOCK
from gaugepost_workers.credentials import Credentials
from gaugepost_workers.exchange import Exchange, attempts_of, log_attempts
from gaugepost_workers.lease import LeaseOver
from gaugepost_workers.policy_facts import facts_of
from gaugepost_workers.sender_pool import GIVE_BACK
from gaugepost_workers.tokens import TokenUnavailable, open_tokens
from gaugepost_workers.upload_lookup import UploadLookup

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.jobs import JobBase
    from gaugepost.ledger import Claimed, WorkerLedger
    from gaugepost.settings import Settings
    from gaugepost_tasks.http import HttpClient
    from gaugepost_tasks.http_messages import Request
    from gaugepost_workers.clock import Clock
    from gaugepost_workers.lease import Lease

log = structlog.get_logger("gaugepost.attempt")


class Delivery:
    """Delivers the jobs of one region. Thread-safe: what belongs to one job is in its `Progress`.

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
        self._clock = clock
        self._schedules = settings.backoff
        self._poll = settings.upload_poll
        self._endpoints = Endpoints.of(
            ledger.region,
            auth_url=settings.auth_url,
            imports_url=settings.imports_url,
            api_url=settings.api_url,
            file_paths=settings.file_paths(),
        )
        self.credentials = Credentials(ledger, settings.credentials(ledger.region), on_refused_alone)
        api_key = self.credentials.api_key
        tokens = open_tokens(ledger, http, self._endpoints, self.credentials, settings, clock)
        self._attempts = Attempts(ledger, http, api_key, tokens, settings.retry_after_cap, clock)
        self._uploads = UploadLookup(
            http, self._endpoints, api_key, self._poll, record_number_base=settings.record_number_base, clock=clock
        )

    def deliver(self, lease: Lease) -> Settlement:
        """Send one job, unless its lease is over, and decide its outcome.

        Never raises: a bug of ours becomes a verdict too, so that no job is lost by it.
        """
        progress, claimed = Progress(lease), lease.claimed
        try:
            return self._deliver(progress)
        except DataSealed as error:
            log.warning("job not decrypted", job=claimed.id, kind=claimed.job.kind, error=f"it {error}")
            return Settlement(claimed, missing_data_key(self._now_ms() - claimed.enqueued_at))
        except (SlotTaken, LeaseOver, StoreError):  # raised before the first byte, so nothing was sent
            return Settlement(claimed, GIVE_BACK)
        except Exception as error:  # noqa: BLE001 - a bug of ours
            return self._settle_fault(progress, error)

    def _deliver(self, progress: Progress) -> Settlement:
        claimed, job = progress.claimed, progress.claimed.job
        if isinstance(job, SealedJob):
            raise DataSealed(NOT_OUR_KEY)
        if job.needs not in self.credentials.fingerprints:
            return Settlement(claimed, missing_credentials(job.needs, self.credentials.missing_setting(job.needs)))
        if isinstance(job, File) and claimed.phase:
            return self._uploads.look_up(progress.lease, job)
        request = self._build(job, claimed.id)
        if request is None:
            return Settlement(claimed, Decision(Dead(Verdict.BAD_FILE)))
        try:
            self._attempts.make(progress, request)
        except TokenUnavailable as error:
            return self._settle(progress, GIVE_BACK if error.alone else wait_for_token(error.judgement))
        except LeaseOver:
            if not progress.exchanges:
                raise
        return self._settle(progress, self._decide(claimed, progress.exchanges[-1].judgement))

    def _build(self, job: JobBase, job_id: str) -> Request | None:
        """Build the job's request. Return None for a file whose content is not in the ledger."""
        content = self._ledger.file_sets.content(job_id) if job.kind == "file" else None
        if job.kind == "file" and content is None:
            return None
        return HANDLERS[job.kind].build(job, self._endpoints, job_id, content)

    def _decide(self, claimed: Claimed, judgement: Judgement) -> Decision:
        needs = claimed.job.needs
        if judgement.verdict is Verdict.DELIVERED:
            self.credentials.accepted(needs)
        elif judgement.verdict is Verdict.REFUSED_CREDENTIALS and self.credentials.refused(needs):
            return GIVE_BACK
        facts = facts_of(claimed, self._schedules, self._poll, self.credentials.fingerprints.get(needs))
        return decide(judgement, facts)

    def _settle(self, progress: Progress, decision: Decision) -> Settlement:
        """Return the settlement, with an attempt for each exchange."""
        claimed, exchanges = progress.claimed, progress.exchanges
        attempts = attempts_of(claimed, exchanges, last_counts=decision.counted)
        log_attempts(claimed, attempts)
        return Settlement(claimed, decision, attempts, began=exchanges[-1].began if exchanges else None)

    def _settle_fault(self, progress: Progress, error: Exception) -> Settlement:
        """Log a bug of ours, and settle its job as a server error or, if it may have been sent, as a lost answer.

        Log and history name the error's class alone: its text may hold data.
        """
        claimed = progress.claimed
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.name} in {where.filename}:{where.lineno}"
        log.error("fault", job=claimed.id, kind=claimed.job.kind, error=type(error).__name__, where=place)
        verdict = Verdict.LOST_ANSWER if progress.is_marked else Verdict.SERVER_ERROR
        judgement = Judgement(verdict, f"a fault in gaugepost: {type(error).__name__}")
        progress.exchanges = [Exchange(Answer(None), judgement, self._now_ms())]
        return self._settle(progress, self._decide(claimed, judgement))

    def _now_ms(self) -> int:
        """Return the Unix time in ms, for the history. Nothing is decided by it."""
        return int(self._clock.wall() * 1000)
