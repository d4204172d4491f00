"""What a worker makes of answers to webhooks, and of secrets and jobs that it cannot decrypt."""

from __future__ import annotations

import gzip
import itertools
from typing import TYPE_CHECKING, Any

import pytest
import redis

from gaugepost.ledger.webhook_records import new_secret
from gaugepost_workers.webhooks import secret_check
from support.faulty_server import Server, resets, says, stalls
from support.ledger_harness import Bench
from support.wait import wait_until
from support.webhook_calls import add, end_one, read_one, sender_of
from support.webhook_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD, NEW = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "MTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body) if length is None else length}", "", ""]
    return "\r\n".join(lines).encode() + body


BODIES = {
    "bad gzip": says(answer(b"no gzip", "Content-Encoding: gzip")),
    "cut gzip": says(answer(gzip.compress(b"x" * 1000)[:20], "Content-Encoding: gzip")),
    "brotli": says(answer(b"x", "Content-Encoding: br")),
    "charset": says(answer(b"\xff\xfe\xff", "Content-Type: text/html; charset=no-such-charset")),
    "cut body": resets(answer(b"fine", length=100)),
    "stalled body": stalls(answer(b"fine", length=100)),
    "large body": says(answer(b"x" * 1_000_000)),
    "bad chunk": says(b"HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", go_on=False),
    "interim": says(b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(b"no gzip", "Content-Encoding: gzip")),
}


@pytest.mark.parametrize("sort", BODIES)
def test_2xx_is_a_success_whatever_its_body(client: redis.Redis, sort: str) -> None:
    bench = Bench(client)
    with Server(BODIES[sort]) as server:
        add(bench, url=server.url)
        end_one(bench)
        assert sender_of(bench, read_timeout=1).send_some(read_one(bench).id)
    assert (read_one(bench).numbers.sent, read_one(bench).state) == (1, "active")


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (says(answer(b"no gzip", "Content-Encoding: gzip", status="500 No")), "HTTP 500"),
        (says(answer(b"x", "Content-Encoding: br", status="302 Found")), "HTTP 302: redirects are not followed"),
        (resets(b"HTTP/1.1 20"), "connection reset (ConnectionResetError)"),
        (says(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n", go_on=False), "ValueError"),
        (says(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500_000 + b"\r\n\r\n", go_on=False), "ValueError"),
        (says(b"HTTP/1.1 100 Continue\r\n\r\n", go_on=False), "RemoteDisconnected"),
    ],
    ids=["500", "302", "cut head", "many headers", "long header", "interim alone"],
)
def test_other_answers_are_failures_without_a_secret_in_them(
    client: redis.Redis, step: Any, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, secret = Bench(client), new_secret()
    with Server(step) as server:
        endpoint = add(bench, url=f"{server.url}?token=confidential", secret=secret)
        end_one(bench)
        assert not sender_of(bench).send_some(endpoint)
    assert error in str(read_one(bench).numbers.error)
    said = capsys.readouterr().out + repr(read_one(bench).numbers) + repr(bench.ledger.webhooks.failures(endpoint))
    assert "webhook failed" in said
    for hidden in (secret.removeprefix("whsec_"), "confidential", "v1,"):
        assert hidden not in said


_calls = itertools.count(1_000, 1_000)


def keyed(client: redis.Redis, *keys: str) -> Bench:
    made = Bench(client, data_key=",".join(keys))
    made._tokens = itertools.count(next(_calls))  # another worker than the bench before
    return made


def test_endpoint_whose_key_is_gone_fails_until_the_key_is_back(client: redis.Redis) -> None:
    with Receiver(secret := new_secret()) as receiver:
        endpoint = add(keyed(client, OLD), url=receiver.url, secret=secret)
        bench = keyed(client, NEW)
        end_one(bench)
        sender = sender_of(bench)
        sender.wake()  # it checks the secrets, and leaves the endpoint to other workers
        assert (read_one(bench).state, read_one(bench).numbers.waiting) == ("failing", 1)
        assert "GAUGEPOST_DATA_KEY does not have" in str(read_one(bench).numbers.error)
        assert not sender_of(bench).send_some(endpoint)
        assert (receiver.raw, bench.ledger.webhooks.failures(endpoint)) == ([], [])
        back = sender_of(keyed(client, NEW, OLD))
        back.wake()
        wait_until(lambda: len(receiver.effects) == 1)
        back.stop(10)
        assert read_one(bench).state == "active"
        end_one(bench)
        assert sender_of(keyed(client, NEW)).send_some(endpoint)  # the secret was renewed under the new key
    assert len(receiver.effects) == 2


def test_fleet_of_which_one_worker_has_the_key_delivers_and_stays_active(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_check, "LEFT_S", 0.0)
    monkeypatch.setattr(secret_check, "EACH_S", 0.0)
    with Receiver(secret := new_secret()) as receiver:
        able, unable = keyed(client, OLD), keyed(client, NEW)
        endpoint = add(able, url=receiver.url, secret=secret)
        has_key, lacks_key = sender_of(able), sender_of(unable)
        has_key.wake()
        for number in range(1, 6):
            end_one(able)
            lacks_key._secrets.run()
            assert not lacks_key.send_some(endpoint)
            assert (read_one(able).state, read_one(able).numbers.error) == ("active", None)
            assert has_key.send_some(endpoint)
            assert len(receiver.effects) == number
    assert able.ledger.webhooks.failures(endpoint) == []


def test_rotated_secret_lets_an_endpoint_without_its_key_send_again(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_check, "LEFT_S", 0.0)
    with Receiver(secret := new_secret()) as receiver:
        endpoint, bench = add(keyed(client, OLD), url=receiver.url), keyed(client, NEW)
        end_one(bench)
        sender = sender_of(bench)
        sender.wake()
        assert bench.ledger.webhooks.rotate(endpoint, secret, 1_000, 1_000)
        sender.wake()
        wait_until(lambda: len(receiver.effects) == 1)
        sender.stop(10)
    assert read_one(bench).state == "active"


def test_job_without_its_key_delays_no_other_event(client: redis.Redis) -> None:
    with Receiver(secret := new_secret()) as receiver:
        endpoint = add(keyed(client, NEW), url=receiver.url, secret=secret)
        end_one(keyed(client, OLD))
        bench = keyed(client, NEW)
        job = end_one(bench)
        assert sender_of(bench).send_some(endpoint)
    assert [event["data"]["id"] for event in receiver.events()] == [job]
    [event] = bench.ledger.webhooks.failures(endpoint)
    assert "is encrypted with a key" in str(event.error)
    assert read_one(bench).state == "active"
