"""Run `gaugepost serve` as a real process, and call it over HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import requests

from gaugepost import Producer, Region, Settings
from gaugepost.ledger.api_keys import ApiKey, Scope, digest_of, new_secret
from support import fork_server
from support.redis_server import free_port
from support.wait import wait_until

ALL = tuple(Scope)
EMAIL = "very-personal@example.net"


def job(**more: Any) -> dict[str, Any]:
    """Return a job as JSON, with an address that no log may have."""
    return {"kind": "record", "region": "eu", "configuration": "multi-object", "record": {"Email": EMAIL}} | more


class GatewayProcess:
    """A gateway on a free port. `options`: further ones of `gaugepost serve`."""

    def __init__(self, folder: Path, redis_url: str, *options: str, port: int = 0, **settings: str) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._options = options
        self._log = folder / f"gateway-{self.port}.log"
        given = {"redis_url": redis_url, "log_level": "debug"} | settings
        outside = {name: value for name, value in os.environ.items() if not name.startswith("GAUGEPOST_")}
        self._env = outside | {f"GAUGEPOST_{name.upper()}": value for name, value in given.items()}
        self.process: subprocess.Popen[bytes] | None = None
        self.producer = Producer(Settings.given(redis_url=redis_url, namespace=settings.get("namespace", "gaugepost")))
        self.http = requests.Session()
        self.http.trust_env = False

    def __enter__(self) -> Self:
        command = ("serve", "--port", str(self.port), *self._options)
        self.process = fork_server.start(*command, env=self._env, log=self._log)
        wait_until(self._answers, what=self.log)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.http.close()
        self.producer.close()

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        with suppress(requests.ConnectionError):
            return self.http.get(f"{self.url}/healthz").status_code == 200
        return False

    def log(self) -> str:
        return self._log.read_text()

    def terminate(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def memory_mb(self) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def key(self, name: str = "crm", *, regions: tuple[str, ...] = ("eu", "us", "au"), **more: Any) -> str:
        """Create a key and return its secret, when the gateway knows it."""
        secret = self.put_key(name, regions=regions, **more)
        wait_until(lambda: all(self._knows(secret, region) for region in regions), what="the key is known")
        return secret

    def put_key(self, name: str, *, regions: tuple[str, ...] = ("eu", "us", "au"), **more: Any) -> str:
        """Create a key, which no request has used, and return its secret."""
        secret = new_secret()
        key = ApiKey(name, digest_of(secret), **{"scopes": ALL, "regions": regions} | more)
        for region in regions:
            assert self.producer.ledger(Region(region)).api_keys.put(key)
        return secret

    def _knows(self, secret: str, region: str) -> bool:
        """Return whether the gateway has read the key in a region.

        It asks by a call that reads, which leaves no trace; a key that may not read, by a job with a wrong header.
        """
        answer = self.call("GET", f"/v1/uploads?region={region}", secret)
        if answer.status_code != 403 or "scope" not in answer.json()["detail"]:
            return answer.status_code in {200, 429}
        probe = {"kind": "file_delete", "region": region, "upload_id": 1, "idempotency_key": "a"}
        answer = self.post(secret, probe, Idempotency_Key="b")
        return answer.status_code in {422, 429} or (answer.status_code == 403 and "scope" in answer.json()["detail"])

    def call(self, method: str, path: str, key: str | None = None, **how: Any) -> requests.Response:
        headers = how.pop("headers", {}) | ({"Authorization": f"Bearer {key}"} if key else {})
        return self.http.request(method, self.url + path, headers=headers, timeout=90, **how)

    def post(self, key: str, body: Any, **headers: str) -> requests.Response:
        """Enqueue a job or an array of jobs. A text or bytes go as they are."""
        given = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        how = {"data": body} if isinstance(body, str | bytes) else {"json": body}
        return self.call("POST", "/v1/jobs", key, headers=given, **how)
