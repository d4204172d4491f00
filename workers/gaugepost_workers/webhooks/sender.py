"""`WebhookSender`: sends the events of one region in threads of its own, so that no receiver delays a job.

Each endpoint has its own threads, two at most in a worker, and each request has a deadline. So a receiver that does not
answer delays no other receiver. The threads exist only while events are due.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import structlog

from gaugepost.connection import connect
from gaugepost.errors import DataSealed, StoreError
from gaugepost.ledger import WorkerLedger
from gaugepost.ledger.webhook_outbox import Became
from gaugepost.ledger.webhook_records import SOURCE_EVENTS
from gaugepost_tasks.http import HttpClient
from gaugepost_tasks.http.network_guard import NetworkGuard
from gaugepost_tasks.http_messages import Request
from gaugepost_workers.webhooks.body import body_of
from gaugepost_workers.webhooks.secret_check import SecretCheck
from gaugepost_workers.webhooks.signing import signed_headers

if TYPE_CHECKING:
    from gaugepost.ledger.webhook_outbox import Lease
    from gaugepost.ledger.webhook_records import Endpoint, OutboxEvent
    from gaugepost.regions import Region
    from gaugepost.settings import Settings
    from gaugepost_tasks.http_messages import Answer

    Row = tuple[str, Became, str]

log = structlog.get_logger("gaugepost.webhooks")

THREADS_AN_ENDPOINT = 2
CONNECT_S, READ_S = 5.0, 15.0
_AT_ONCE = 16
_LEASE_USED_S = 30.0
"""Begin no request later than this after the lease began: it ends before the lease does."""
_MOST_ANSWER_BYTES = 10_000
_GONE = 410
_REDIRECTS = range(300, 400)
_GOES_ON = {Became.SENT, Became.UNWANTED, Became.UNREADABLE}
"""After these the next event is sent at once."""


def webhook_client(settings: Settings, region: Region, guard: NetworkGuard | None = None) -> HttpClient:
    """Return the client for webhooks: through the region's proxy, without our certificate, to allowed addresses."""
    proxy = settings.proxy(region)
    return HttpClient(
        min(settings.connect_timeout, CONNECT_S),
        min(settings.read_timeout, READ_S),
        THREADS_AN_ENDPOINT,
        _MOST_ANSWER_BYTES,
        ca_file=settings.ca_file,
        proxy_url=proxy.get_secret_value() if proxy else None,
        guard=guard or NetworkGuard(settings.webhook_networks),
        status_is_enough=True,
    )


class WebhookSender:
    """Sends the due events of all endpoints of one region. Thread-safe."""

    def __init__(self, ledger: WorkerLedger, http: HttpClient) -> None:
        self._ledger = ledger
        self._http = http
        self._threads: dict[str, list[threading.Thread]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._secrets = SecretCheck(ledger)

    @classmethod
    def of(cls, settings: Settings, region: Region) -> WebhookSender:
        """Create the sender of a worker. It has connections of its own to Redis: it takes none from jobs."""
        ledger = WorkerLedger(connect(settings, region), region, settings)
        return cls(ledger, webhook_client(settings, region))

    def wake(self) -> None:
        """Start threads for the endpoints that have due events. Returns at once. Raises StoreError."""
        self._secrets.run()
        for endpoint_id in self._ledger.webhook_outbox.due():
            if self._secrets.leaves(endpoint_id):
                continue
            with self._lock:
                own = [thread for thread in self._threads.get(endpoint_id, ()) if thread.is_alive()]
                if len(own) < THREADS_AN_ENDPOINT and not self._stopping.is_set():
                    thread = threading.Thread(
                        target=self._run, args=(endpoint_id,), name=f"webhook-{endpoint_id}", daemon=True
                    )
                    own.append(thread)
                    thread.start()
                self._threads[endpoint_id] = own

    def stop(self, seconds: float) -> None:
        """Begin no more requests, and wait for those in flight. Their events are settled, the others returned."""
        self._stopping.set()
        ends = time.monotonic() + seconds
        for thread in [thread for own in self._threads.values() for thread in own]:
            thread.join(max(0.0, ends - time.monotonic()))
        self._http.close()

    def _run(self, endpoint_id: str) -> None:
        try:
            while not self._stopping.is_set() and self.send_some(endpoint_id):
                pass
        except StoreError as error:
            log.warning("webhooks wait for Redis", webhook=endpoint_id, error=str(error))
        except Exception as error:  # noqa: BLE001 - the next tick starts a new thread
            log.error("fault", webhook=endpoint_id, error=type(error).__name__)  # noqa: TRY400 - its text may hold data

    def send_some(self, endpoint_id: str) -> bool:
        """Send some due events of an endpoint; return whether more may follow at once. Raises StoreError."""
        lease = self._ledger.webhook_outbox.take(endpoint_id, _AT_ONCE)
        if lease is None:
            return False
        endpoint = self._ledger.webhooks.get(endpoint_id)
        rows = [] if endpoint is None else self._send_all(endpoint, lease)
        rows += [(event.id, Became.RETURNED, "") for event in lease.events[len(rows) :]]
        if why := self._ledger.webhook_outbox.settle(lease, rows):
            log.error(
                "webhook is disabled", webhook=endpoint_id, why=why, next=f"gaugepost webhooks retry {endpoint_id}"
            )
        return all(became in _GOES_ON for _, became, _ in rows)

    def _send_all(self, endpoint: Endpoint, lease: Lease) -> list[Row]:
        """Send events until one fails; return what became of each, up to that one."""
        started, rows = time.monotonic(), list[tuple[str, Became, str]]()
        try:
            secrets = self._ledger.webhooks.secrets(endpoint.id, int(time.time() * 1000))
        except DataSealed as sealed:
            return [(lease.events[0].id, Became.SEALED, self._secrets.failed(endpoint.id, sealed))]
        for event in lease.events:
            if self._stopping.is_set() or time.monotonic() - started > _LEASE_USED_S:
                break
            became, error = self._send(endpoint, event, secrets)
            rows.append((event.id, became, error))
            if became not in {Became.SENT, Became.UNWANTED}:
                log.info("webhook failed", webhook=endpoint.id, event_id=event.id, error=error, tries=event.tries + 1)
            if became not in _GOES_ON:
                break
        return rows

    def _send(self, endpoint: Endpoint, event: OutboxEvent, secrets: list[str]) -> tuple[Became, str]:
        job_id = event.data.get("id")
        view = self._ledger.read([job_id])[0] if event.type in SOURCE_EVENTS and job_id else None
        try:
            body = body_of(event, self._ledger.region, endpoint, view)
        except DataSealed as error:
            return Became.UNREADABLE, str(error)
        if body is None:
            return Became.UNWANTED, ""
        headers = {"Content-Type": "application/json", **signed_headers(event.id, int(time.time()), body, secrets)}
        return became_of(self._http.exchange(Request("POST", endpoint.url, headers, body, "none"), ""))


def became_of(answer: Answer) -> tuple[Became, str]:
    """Return what became of an event, from the answer of its receiver."""
    if answer.ok:
        return Became.SENT, ""
    if answer.status is None:
        return Became.FAILED, answer.detail or "no answer"
    if answer.status in _REDIRECTS:
        return Became.FAILED, f"HTTP {answer.status}: redirects are not followed"
    return (Became.GONE if answer.status == _GONE else Became.FAILED), f"HTTP {answer.status}"
