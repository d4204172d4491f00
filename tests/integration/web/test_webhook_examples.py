"""The receivers of docs/languages.md take what the package `standardwebhooks` signs, and refuse all else."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook

from support.factories import record
from support.languages import FOLDER, PROGRAMS, command, environment, examples
from support.redis_server import free_port
from support.stack import Stack
from support.wait import wait_until

BODY = json.dumps({"type": "job.dead", "data": {"id": "0f8f", "reason": "straße & <b>\u2028"}}, ensure_ascii=False)


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class Receiver:
    """An example that runs."""

    def __init__(self, example: Path, folder: Path, secret: str | None, port: int | None = None) -> None:
        self.port = port or free_port()
        self.output = folder / "output"
        env = environment(folder, **({} if secret is None else {"WEBHOOK_SECRET": secret}))
        line = command(example, folder, **{"8000": str(self.port)})
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                line, cwd=folder, env=env, stdout=output, stderr=output, start_new_session=True
            )

    def listens(self) -> bool:
        with suppress(ConnectionRefusedError), closing(socket.create_connection(("127.0.0.1", self.port))):
            return True
        return False

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def said(self) -> str:
        return self.output.read_text()

    def post(self, body: str | bytes, headers: dict[str, str]) -> int | None:
        """Return the status of the answer; None if the connection is closed without one."""
        data = body.encode() if isinstance(body, str) else body
        try:
            answer = requests.post(f"http://127.0.0.1:{self.port}/", data=data, headers=headers, timeout=20)
        except requests.ConnectionError:
            return None
        return answer.status_code

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def signed(secret: str, body: str = BODY, *, name: str = "msg_1", late: float = 0.0) -> dict[str, str]:
    """Return the headers that the package makes, as of `late` seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=late)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, at, body),
    }


@pytest.fixture
def secret() -> str:
    return new_secret()


@pytest.fixture
def receiver(example: Path, secret: str, tmp_path: Path) -> Iterator[Receiver]:
    receiver = Receiver(example, tmp_path, secret)
    wait_until(lambda: receiver.listens() or receiver.has_ended(), 60, receiver.said)
    yield receiver
    receiver.end()


@pytest.mark.parametrize("example", examples("webhook"))
def test_receiver_takes_genuine_webhooks_alone(example: Path, receiver: Receiver, secret: str) -> None:
    takes(receiver, secret)
    for body, headers in forged(secret):
        assert receiver.post(body, headers) in {400, None}, headers
    cut_off(receiver.port)
    assert "forged" not in receiver.said()
    rotated = signed(secret, name="msg_2")
    rotated["webhook-signature"] = f"{signed(new_secret())['webhook-signature']} {rotated['webhook-signature']}"
    assert receiver.post(BODY, rotated) in {200, 204}
    takes(receiver, secret)


def takes(receiver: Receiver, secret: str) -> None:
    """Check that a genuine webhook is answered with success, and printed."""
    name = secrets.token_hex(8)
    body = BODY.replace("0f8f", name)
    assert receiver.post(body, signed(secret, body)) in {200, 204}, receiver.said()
    wait_until(lambda: name in receiver.said(), 20, receiver.said)


def forged(secret: str) -> Iterator[tuple[str | bytes, dict[str, str]]]:
    """Yield webhooks that are not genuine."""
    genuine = signed(secret)
    other = '{"type": "forged"}'
    yield other, genuine
    yield other, {}
    yield other, signed(new_secret(), other)
    yield other, signed(base64.b64encode(b"whsec_").decode(), other)
    yield BODY, signed(secret, late=600)  # replayed
    yield BODY, signed(secret, late=-600)
    for name in genuine:
        yield BODY, {other: value for other, value in genuine.items() if other != name}
        yield BODY, genuine | {name: "1"}
        yield BODY, genuine | {name: ""}
    now, signature = genuine["webhook-timestamp"], genuine["webhook-signature"]
    changes: dict[str, Any] = {
        "webhook-timestamp": (f"{now}0", f"{now}.", f"-{now}", "NaN", "1e9", "9" * 400),
        "webhook-signature": (
            signature[3:],
            f"v2{signature[2:]}",
            signature[:-5],
            f"{signature}A",
            "v1,",
            ",",
            "é",
            "v1," * 999,
        ),
    }
    for name, values in changes.items():
        for value in values:
            yield BODY, genuine | {name: value.encode() if not value.isascii() else value}
    yield BODY.encode()[:-9] + b"\xff\xfe", genuine
    yield b"", genuine


def cut_off(port: int) -> None:
    """Announce a body, and close the connection in the middle of it."""
    for sent in (b"{", b""):
        with closing(socket.create_connection(("127.0.0.1", port))) as connection:
            connection.sendall(
                b"POST / HTTP/1.1\r\nHost: a\r\nwebhook-id: forged\r\nContent-Length: 100\r\n\r\n" + sent
            )


@pytest.mark.parametrize("example", examples("webhook"))
def test_receiver_without_a_secret_takes_nothing(example: Path, tmp_path: Path) -> None:
    receiver = Receiver(example, tmp_path, None)
    try:
        wait_until(lambda: receiver.listens() or receiver.has_ended(), 60, receiver.said)
        empty = signed("whsec_AA==")
        assert receiver.has_ended() or receiver.post(BODY, empty) in {400, 500}
        assert example.parent.name in {"csharp", "go"} or "set WEBHOOK_SECRET" in receiver.said()
    finally:
        receiver.end()


@pytest.mark.needs(*(program for programs in PROGRAMS.values() for program in programs))
def test_workers_deliver_to_the_receiver_of_each_language(tmp_path: Path) -> None:
    found = [path for path in sorted(FOLDER.glob("*/*")) if path.stem.lower() == "webhook"]
    receivers = []
    with Stack(tmp_path, webhook_networks="127.0.0.0/8") as stack, ExitStack() as ends:
        stack.worker("eu")
        for example in found:
            port, folder = free_port(), tmp_path / example.parent.name
            folder.mkdir()
            added = json.loads(stack.cli("webhooks", "add", f"http://127.0.0.1:{port}/", "--json").stdout)
            receivers.append(Receiver(example, folder, added["secret"], port))
            ends.callback(receivers[-1].end)
        for one in receivers:
            wait_until(lambda one=one: one.listens() or one.has_ended(), 60, one.said)
        job = stack.producer.enqueue(record(configuration="multi-object", region="eu"))
        for one in receivers:
            wait_until(lambda one=one: f'"{job.id}"' in one.said(), 60, one.said)
        assert len(receivers) == 5
        wait_until(lambda: [row["sent"] for row in endpoints(stack)] == [1] * 5, 20, "each was answered with success")


def endpoints(stack: Stack) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stack.cli("webhooks", "list", "--json").stdout.splitlines()]
