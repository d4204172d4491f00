"""The configurations of docs/gateway.md for nginx and Caddy, with TLS: run as they stand, but for ports and names."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import re
import ssl
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.deployment import ROOT
from support.gateway import GatewayProcess, job
from support.redis_server import free_port
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.redis_server import RedisServer

PAGE = (ROOT / "docs/gateway.md").read_text()
CLIENT = "127.0.0.2"
NGINX = """
daemon off; pid {folder}/pid; error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl; server_name localhost;
        ssl_certificate {folder}/tls.crt; ssl_certificate_key {folder}/tls.key;
        {block}
    }}
}}
"""


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def make_certificate(folder: Path) -> None:
    """Write tls.crt and tls.key for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))


class Proxy:
    """A proxy with TLS before a gateway."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port

    def connection(self) -> http.client.HTTPSConnection:
        """Open a connection from another address of this machine than the proxy's own."""
        context = ssl.create_default_context(cafile=str(self._folder / "tls.crt"))
        return http.client.HTTPSConnection(
            "localhost", self._port, timeout=30, context=context, source_address=(CLIENT, 0)
        )

    def call(self, method: str, path: str, key: str, body: str | None = None, **headers: str) -> tuple[int, bytes]:
        connection = self.connection()
        given = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request(method, path, body, given | {name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def answers(self) -> bool:
        with suppress(OSError):
            return self.call("GET", "/v1/status", "")[0] == 401
        return False


def command(program: str, folder: Path, port: int, gateway: GatewayProcess) -> list[str]:
    """Write the configuration of a proxy. Return its command."""
    text = block("nginx" if program == "nginx" else "caddy").replace("8080", str(gateway.port))
    if program == "nginx":
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, block=text))
        return ["nginx", "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    tls = f"    tls {folder}/tls.crt {folder}/tls.key\n"
    head = "{\n    admin off\n    auto_https disable_redirects\n    skip_install_trust\n}\n"
    site = text.replace("gateway.example.com {\n", f"https://localhost:{port} {{\n{tls}")
    assert tls in site
    (folder / "Caddyfile").write_text(head + site)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@contextmanager
def proxied(program: str, folder: Path, gateway: GatewayProcess) -> Iterator[Proxy]:
    """Run a proxy before the gateway."""
    make_certificate(folder)
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(program, folder, port, gateway), cwd=folder, stdout=log, stderr=log)
    proxy = Proxy(folder, port)
    try:
        wait_until(proxy.answers, what=(folder / "log").read_text)
        yield proxy
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "program",
    [pytest.param("nginx", marks=pytest.mark.needs("nginx")), pytest.param("caddy", marks=pytest.mark.needs("caddy"))],
)
def test_documented_proxy_passes_on_what_services_send(program: str, server: RedisServer, tmp_path: Path) -> None:
    with (
        GatewayProcess(tmp_path, server.url, "--proxy-headers") as gateway,
        proxied(program, tmp_path, gateway) as proxy,
    ):
        key = gateway.key(program)
        status, made = proxy.call("POST", "/v1/jobs", key, json.dumps(job()), X_Forwarded_For="203.0.113.9")
        assert status == 201
        path = f"/v1/jobs/{json.loads(made)['id']}"
        assert json.loads(proxy.call("GET", f"{path}?wait=1", key)[1])["state"] == "queued"
        assert f'"key": "{program}", "client": "{CLIENT}"' in gateway.log()
        assert "203.0.113.9" not in gateway.log()
        for inside in ("/metrics", "/healthz", "/readyz", "/v1/../metrics", "/v1/%2e%2e/metrics"):
            assert b"gaugepost" not in proxy.call("GET", inside, key)[1]
        lines = (json.dumps(job()) + "\n") * 5_000
        answered = proxy.call("POST", "/v1/jobs", key, lines, Content_Type="application/x-ndjson")[1]
        assert answered.count(b'"state":"queued"') == 5_000
        if program == "nginx":
            lines_are_answered_while_they_are_sent(proxy, key)


def lines_are_answered_while_they_are_sent(proxy: Proxy, key: str) -> None:
    connection = proxy.connection()
    connection.putrequest("POST", "/v1/jobs")
    for name, value in {"Transfer-Encoding": "chunked", "Content-Type": "application/x-ndjson"}.items():
        connection.putheader(name, value)
    connection.putheader("Authorization", f"Bearer {key}")
    connection.endheaders()
    line = json.dumps(job()).encode() + b"\n"
    answer = None
    for number in range(1, 4):
        connection.send(b"%x\r\n%s\r\n" % (len(line), line))
        answer = answer or connection.getresponse()
        assert json.loads(answer.readline())["line"] == number
    connection.send(b"0\r\n\r\n")
    assert answer is not None
    assert answer.read() == b""
    answer.close()
    connection.close()
