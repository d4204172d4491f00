"""`gaugepost webhooks`: add, list, remove, rotate, test, failures and retry, and what the audit trail has of them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import redis

from gaugepost import Region
from gaugepost.ledger.webhook_outbox import Became
from gaugepost.ledger.webhook_records import EVENTS
from gaugepost_workers.webhooks.sender import WebhookSender
from support.audit_trail import trail
from support.wait import wait_until
from support.webhook_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Cli, EuWorker
    from support.redis_server import RedisServer

URL = "https://crm.example/hooks?team=a"


def add(cli: Cli, *more: str, url: str = URL) -> dict[str, str]:
    done = cli("webhooks", "add", url, *more, "--json")
    assert done.code == 0, done.err
    [row] = done.rows
    return row  # type: ignore[no-any-return]


def test_secret_is_printed_once_and_is_nowhere_else(cli: Cli, redis_url: str) -> None:
    cli.environment["GAUGEPOST_DATA_KEY"] = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    done = cli("webhooks", "add", URL, "--event", "job.dead", "--source", "crm")
    secret = done.out.strip()
    assert (done.code, secret[:6], secret in done.err) == (0, "whsec_", False)
    listed = cli("webhooks", "list", "--json")
    assert secret not in listed.out
    with redis.Redis.from_url(redis_url) as client:
        assert all(secret.encode() not in (client.dump(name) or b"") for name in client.scan_iter())  # type: ignore[operator]
    [row] = listed.rows
    expected = {"url": URL, "events": ["job.dead"], "source": "crm", "state": "active", "with_result": False}
    assert {name: row[name] for name in expected} == expected
    assert row["regions"] == ["eu", "us", "au"]
    assert cli("webhooks", "list").out.startswith(f"{row['id']}  {URL}  active; source crm; in eu, us, au; 0 sent")


def test_json_of_a_new_endpoint_has_what_the_contract_says(cli: Cli) -> None:
    row = add(cli, "--region", "us", "--with-result")
    assert row.pop("id").startswith("wh-")
    assert row.pop("secret").startswith("whsec_")
    assert row == {"url": URL, "events": list(EVENTS), "regions": ["us"], "source": None, "with_result": True}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("http://crm.example/",), "url: expected https://"),
        (("ftp://crm.example/",), "url: expected https://"),
        (("https://user:pass@crm.example/",), "url: expected https://"),
        (("https://crm.example/#a",), "url: expected https://"),
        (("https://crm.example:99999/",), "url: expected a port"),
        (("https://169.254.169.254/latest",), "url: the address is not public"),
        (("https://localhost/",), "url: the address is not public"),
        (("https://[::ffff:10.0.0.1]/",), "url: the address is not public"),
        ((URL, "--event", "job.done"), "event: job.done: expected one of job.delivered, "),
        ((URL, "--source", "a b"), "source: "),
        ((URL, "--source", "crm", "--event", "hold.opened"), "event: hold.opened belongs to no source"),
        ((URL, "--region", "mars"), "--region"),
    ],
    ids=str,
)
def test_wrong_endpoint_is_refused(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    done = cli("webhooks", "add", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert cli("webhooks", "list", "--json").rows == []


def test_removed_endpoint_is_gone_in_all_regions(cli: Cli) -> None:
    endpoint = add(cli)["id"]
    done = cli("webhooks", "remove", endpoint)
    assert (done.code, done.out) == (0, f"{endpoint}: removed in eu, us, au\n")
    for command in ("remove", "retry", "test", "rotate"):
        again = cli("webhooks", command, endpoint)
        assert (again.code, again.err.splitlines()[0]) == (1, f"{endpoint}: no such webhook")
    assert cli("webhooks", "list").err == "no webhooks; `gaugepost webhooks add URL` makes one\n"


def test_number_of_endpoints_of_a_region_is_bounded(cli: Cli, eu_worker: EuWorker) -> None:
    for _ in range(20):
        add(cli, "--region", "eu")
    done = cli("webhooks", "add", URL, "--region", "us", "--region", "eu")
    assert (done.code, "eu has 20 endpoints already" in done.err) == (1, True)
    assert eu_worker.producer.ledger(Region.US).webhooks.read() == []


def test_rotated_secret_signs_beside_the_former_one(cli: Cli, eu_worker: EuWorker) -> None:
    row = add(cli)
    done = cli("webhooks", "rotate", row["id"], "--keep", "1h")
    secrets = eu_worker.producer.ledger(Region.EU).webhooks.secrets(row["id"], 0)
    assert (done.code, secrets) == (0, [done.out.strip(), row["secret"]])
    assert cli("webhooks", "rotate", row["id"], "--keep", "soon").code == 2


def test_failures_are_listed_and_sent_again(cli: Cli, eu_worker: EuWorker) -> None:
    endpoint = add(cli, "--region", "eu")["id"]
    eu_worker.put()
    job = eu_worker.bury()
    assert cli("webhooks", "failures").err == "no failures\n"
    lease = eu_worker.ledger.webhook_outbox.take(endpoint, 10)
    assert lease is not None
    eu_worker.ledger.webhook_outbox.settle(lease, [(lease.events[0].id, Became.GONE, "HTTP 410")])
    [row] = cli("webhooks", "failures", endpoint, "--json").rows
    expected = {"webhook": endpoint, "region": "eu", "type": "job.dead", "job": job, "tries": 1, "error": "HTTP 410"}
    assert {name: row[name] for name in expected} == expected
    assert row["next_at"] is not None
    assert f"job.dead {job}: HTTP 410; 1 tries, next try at" in cli("webhooks", "failures").out
    [listed] = cli("webhooks", "list", "--json").rows
    assert (listed["state"], listed["disabled_reason"]) == ("disabled", "it answered 410 Gone")
    assert cli("webhooks", "retry", endpoint).out == f"{endpoint}: enabled, 1 events are sent again\n"
    [listed] = cli("webhooks", "list", "--json").rows
    assert (listed["state"], listed["waiting"]) == ("active", 1)


@contextmanager
def sending(eu_worker: EuWorker) -> Iterator[None]:
    """Send webhooks of eu, as the ticks of a worker do."""
    settings = eu_worker.producer.settings
    sender = WebhookSender.of(
        type(settings).given(redis_url=settings.redis_url, webhook_networks="127.0.0.0/8"), Region.EU
    )
    over = threading.Event()

    def tick() -> None:
        while not over.wait(0.05):
            sender.wake()

    worker = threading.Thread(target=tick)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()
        sender.stop(10)


def test_test_says_what_the_receiver_answered(cli: Cli, eu_worker: EuWorker) -> None:
    cli.environment["GAUGEPOST_WEBHOOK_NETWORKS"] = "127.0.0.0/8"
    with Receiver() as receiver:
        row = add(cli, "--region", "eu", url=receiver.url)
        receiver.secrets.append(row["secret"])
        with sending(eu_worker):
            assert cli("webhooks", "test", row["id"]).out == f"{row['id']}: delivered\n"
            receiver.status = 500
            failed = cli("webhooks", "test", row["id"], "--json")
    assert (failed.code, failed.rows[0]["error"]) == (1, "HTTP 500")
    assert [event["type"] for event in receiver.events()] == ["webhook.test"]
    wait_until(lambda: cli("webhooks", "failures", "--json").rows == [])
    [listed] = cli("webhooks", "list", "--json").rows
    assert (listed["state"], listed["waiting"], listed["given_up"]) == ("active", 0, 0)


def test_test_of_a_failing_endpoint_says_what_the_receiver_answered(cli: Cli, eu_worker: EuWorker) -> None:
    cli.environment["GAUGEPOST_WEBHOOK_NETWORKS"] = "127.0.0.0/8"
    with Receiver() as receiver:
        endpoint = add(cli, "--region", "eu", url=receiver.url)["id"]
        eu_worker.put()
        eu_worker.bury()
        outbox = eu_worker.ledger.webhook_outbox
        for _ in range(20):  # the pause of the endpoint is 60 s now
            event = outbox.take(endpoint, 1)
            if event is not None:
                outbox.settle(event, [(event.events[0].id, Became.FAILED, "HTTP 503")])
            eu_worker.ledger.webhooks._client.hincrby(eu_worker.ledger.keys.of("webhook:", endpoint), "errors", 1)
        receiver.secrets, receiver.status = ["whsec_c2VjcmV0"], 500  # another secret: it answers 400
        with sending(eu_worker):
            done = cli("webhooks", "test", endpoint, "--wait", "20")
    assert (done.code, done.out) == (1, f"{endpoint}: HTTP 400\n")


def test_secret_without_its_key_is_shown_and_rotated(cli: Cli, eu_worker: EuWorker) -> None:
    old, new = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "MTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    cli.environment["GAUGEPOST_DATA_KEY"] = old
    endpoint = add(cli, "--region", "eu")["id"]
    cli.environment["GAUGEPOST_DATA_KEY"] = new
    with sending(eu_worker):
        wait_until(lambda: "failing; workers cannot sign its events" in cli("webhooks", "list").out)
    assert "workers cannot sign its events" in cli("status").out
    refused = cli("webhooks", "rotate", endpoint)
    assert (refused.code, refused.out) == (1, "")
    assert f"gaugepost webhooks rotate {endpoint} --keep 0s" in refused.err
    done = cli("webhooks", "rotate", endpoint, "--keep", "0s")
    assert (done.code, done.out[:6], "signs no more" in done.err) == (0, "whsec_", True)
    assert " active; " in cli("webhooks", "list").out


def test_full_outbox_is_shown_with_what_it_drops(cli: Cli, eu_worker: EuWorker) -> None:
    endpoint, ledger = add(cli, "--region", "eu")["id"], eu_worker.ledger
    ledger.webhooks._client.rpush(ledger.keys.of("untried:", endpoint), *["{}"] * 100_000)
    assert "eu outbox is full: it drops new events until fewer than 100,000 wait" in cli("webhooks", "list").out
    eu_worker.put()
    eu_worker.bury()
    shown = cli("status").out
    assert f"{endpoint} active; outbox is full" in " ".join(shown.split())
    assert "1 events dropped" in " ".join(shown.split())


def test_test_without_a_worker_says_so(cli: Cli) -> None:
    endpoint = add(cli, "--region", "us")["id"]
    done = cli("webhooks", "test", endpoint, "--wait", "1")
    assert (done.code, done.out) == (1, f"{endpoint}: no worker of us runs: see `gaugepost status`\n")
    assert cli("webhooks", "list", "--json").rows[0]["waiting"] == 0


def test_changes_are_recorded_by_the_endpoint(cli: Cli) -> None:
    endpoint = add(cli, "--region", "us")["id"]
    cli("webhooks", "rotate", endpoint)
    cli("webhooks", "test", endpoint, "--wait", "1")
    cli("webhooks", "retry", endpoint)
    cli("webhooks", "remove", endpoint)
    rows = [(row["action"], row["target"], row["region"], row["count"], row["outcome"]) for row in trail(cli)]
    actions = ("remove", "retry", "test", "rotate", "add")
    assert rows == [(f"webhooks {action}", endpoint, "us", 1, "done") for action in actions]


def test_no_region_rotates_while_one_is_away(cli: Cli, redis_server: RedisServer) -> None:
    endpoint = add(cli)["id"]
    cli.environment["GAUGEPOST_REDIS_URL"] = f"redis://{{region}}:pass@127.0.0.1:{redis_server.port}/0"
    with redis_server.client() as client:
        before = client.hgetall("gaugepost:{eu}:webhook_secrets")
        for region in ("eu", "us"):
            client.acl_setuser(region, enabled=True, passwords=["+pass"], keys=["*"], categories=["+@all"])
        done = cli("webhooks", "rotate", endpoint)
        client.acl_deluser("eu", "us")
        assert (done.code, done.out, client.hgetall("gaugepost:{eu}:webhook_secrets")) == (3, "", before)
    assert "not reached: au" in done.err
