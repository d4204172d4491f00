"""The client over TLS: before the end of the handshake nothing is sent."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization

from gaugepost.errors import SettingsError
from gaugepost_tasks.http import HttpClient
from gaugepost_tasks.http import exchange as exchanges
from gaugepost_tasks.http.tls import tls_context
from gaugepost_tasks.http_messages import Request
from support.faulty_server import Server, authority, ok, resets, says, stalls

if TYPE_CHECKING:
    from collections.abc import Callable


SECRET = "Bearer s3cr3t"
FULL = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@pytest.fixture
def client(new_client: Callable[..., HttpClient]) -> HttpClient:
    return new_client(10, 10, 4, max_answer_bytes=100_000)


def put(url: str, body: bytes = b"body") -> Request:
    return Request("PUT", url, {"Idempotency-Key": "job-1", "Accept": "application/json"}, body, "bearer")


def test_untrusted_certificate_is_unreachable_and_nothing_is_sent(client: HttpClient, tmp_path: Path) -> None:
    tls, _ = authority(tmp_path)
    asked = []
    with Server(ok(), tls=tls) as server:
        answer = client.exchange(put(server.url), SECRET, lambda: asked.append(1))
    assert (answer.failure, server.requests, asked) == ("unreachable", [], [])
    assert answer.detail == "certificate not trusted (SSLCertVerificationError)"


def test_a_certificate_of_another_name_is_unreachable(new_client: Callable[..., HttpClient], tmp_path: Path) -> None:
    tls, ca_file = authority(tmp_path, "127.0.0.2")
    with Server(ok(), tls=tls) as server:
        assert new_client(10, 10, 1, ca_file=ca_file).exchange(put(server.url), SECRET).failure == "unreachable"
    assert server.requests == []


def test_a_plain_server_behind_https_is_unreachable(new_client: Callable[..., HttpClient]) -> None:
    with Server(ok()) as server:
        answer = new_client(0.5, 0.3, 1).exchange(put(server.url.replace("http", "https")), SECRET)
    assert (answer.failure, server.requests) == ("unreachable", [])


def test_failures_over_tls_after_the_handshake(new_client: Callable[..., HttpClient], tmp_path: Path) -> None:
    tls, ca_file = authority(tmp_path)
    client, impatient = new_client(10, 10, 2, ca_file=ca_file), new_client(10, 0.3, 2, ca_file=ca_file)
    clients = [client] * 4 + [impatient]
    asked = []
    steps = [ok(), ok(), says(FULL + b"short", go_on=False), resets(), stalls(FULL)]
    with Server(*steps, tls=tls) as server:
        answers = [one.exchange(put(server.url, b"x" * 70_000), SECRET, lambda: asked.append(1)) for one in clients]
    assert [answer.failure for answer in answers] == [None, None, *["lost_answer"] * 3]
    assert (len(asked), server.connections) == (5, 3)


def test_idle_tls_connection_is_replaced(
    new_client: Callable[..., HttpClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, "MAX_IDLE_S", -1)
    tls, ca_file = authority(tmp_path)
    client = new_client(10, 10, 2, ca_file=ca_file)
    with Server(ok(), ok(), tls=tls) as server:
        assert [client.exchange(put(server.url), SECRET).body for _ in range(2)] == [b"fine"] * 2


# Authorities, and our certificate.


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return our certificate and its key, each in a file."""
    folder = tmp_path_factory.mktemp("ours")
    _, both = authority(folder, "127.0.0.9")
    head = "-----BEGIN PRIVATE KEY-----"
    certificate, key = Path(both).read_text().split(head)
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_text(certificate)
    key_file.write_text(head + key)
    return cert_file, key_file


@pytest.mark.parametrize("apart", [True, False])
def test_mutual_tls_shows_our_certificate(
    new_client: Callable[..., HttpClient], tmp_path: Path, ours: tuple[Path, Path], apart: bool
) -> None:
    tls, ca_file = authority(tmp_path)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(ours[0])
    cert = ours if apart else (ours[0].parent / "127.0.0.9.pem", None)
    with Server(ok(), tls=tls) as server:
        shown = new_client(10, 10, 1, ca_file=ca_file, client_cert=cert).exchange(put(server.url), SECRET)
        hidden = new_client(10, 10, 1, ca_file=ca_file).exchange(put(server.url), SECRET)
    assert (shown.body, hidden.failure is None) == (b"fine", False)
    assert len(server.requests) == 1


def test_own_authorities_replace_the_public_ones(tmp_path: Path) -> None:
    _, ca_file = authority(tmp_path)
    assert [cert["subject"] for cert in tls_context(ca_file).get_ca_certs()] == [((("commonName", "test"),),)]
    assert len(tls_context().get_ca_certs()) > 100


@pytest.mark.parametrize(
    ("ca_file", "cert", "key", "message"),
    [
        ("gone.pem", None, None, "CA_FILE: cannot be read: FileNotFoundError"),
        (".", None, None, "CA_FILE: cannot be read: IsADirectoryError"),
        ("empty.pem", None, None, "CA_FILE: holds no certificate in PEM"),
        (None, "gone.pem", "key.pem", "CLIENT_CERT: cannot be read: FileNotFoundError"),
        (None, "cert.pem", "gone.pem", "CLIENT_KEY: cannot be read: FileNotFoundError"),
        (None, "cert.pem", None, "CLIENT_CERT: holds no private key in PEM; set GAUGEPOST_CLIENT_KEY"),
        (None, "key.pem", None, "CLIENT_CERT: holds no certificate in PEM"),
        (None, "cert.pem", "cert.pem", "CLIENT_KEY: holds no private key in PEM"),
        (None, "cert.pem", "other.pem", "CLIENT_KEY: is not the key of the certificate"),
        (None, "cert.pem", "encrypted.pem", "CLIENT_KEY: is encrypted, and a worker cannot be asked for a passphrase"),
        (None, "broken.pem", "key.pem", "CLIENT_CERT: it or its key cannot be read as PEM"),
    ],
)
def test_file_that_cannot_be_used_is_refused_by_its_setting(
    ours: tuple[Path, Path], tmp_path: Path, ca_file: str | None, cert: str | None, key: str | None, message: str
) -> None:
    for path in ours:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "empty.pem").touch()
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    _, other = authority(tmp_path, "127.0.0.8")
    (tmp_path / "other.pem").write_bytes(Path(other).read_bytes())
    secret = serialization.load_pem_private_key(ours[1].read_bytes(), None)
    sealed = serialization.BestAvailableEncryption(b"secret")
    (tmp_path / "encrypted.pem").write_bytes(
        secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
    )
    files = [tmp_path / name if name else None for name in (ca_file, cert, key)]
    with pytest.raises(SettingsError) as refused:
        tls_context(*files)
    assert str(refused.value) == f"GAUGEPOST_{message}"
