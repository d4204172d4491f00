"""Where the calls of CustomerGauge's pages go: to the simulator, or to the drop-in front before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from gaugepost import Region
from gaugepost_simulator import Simulator
from support.gateway import GatewayProcess
from support.stack import Stack
from support.wait import wait_until


class Host:
    """The simulator itself."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    def url(self, api: str, region: str, path: str) -> str:
        """Return the URL of a call. `api`: auth, imports or api."""
        return f"{self.sim.url}/{api}/{region}/{path}"

    def client(self, region: str) -> dict[str, str]:
        """Return the credentials of OAuth2."""
        return {"client_id": f"{region}-client", "client_secret": f"{region}-secret"}

    def api_key(self, region: str) -> str:
        return f"{region}-key"

    def effects(self, **filters: str) -> list[dict[str, Any]]:
        """Return what was stored, oldest first."""
        return self.sim.effects(**filters)


class FrontHost(Host):
    """The front of a gateway: workers deliver its jobs to the simulator."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.stack = Stack(folder, **settings)
        super().__init__(self.stack.sim)

    def __enter__(self) -> Self:
        self.stack.__enter__()
        for region in Region:
            self.stack.worker(region)
        self.gateway = GatewayProcess(self.stack.folder, self.stack.redis.url).__enter__()
        ledgers = [self.stack.producer.ledger(region) for region in Region]
        wait_until(
            lambda: all(ledger.presence().workers for ledger in ledgers), what="calls wait for no worker's start"
        )
        self.key = self.gateway.key("crm")
        return self

    def __exit__(self, *exception: object) -> None:
        self.gateway.__exit__(*exception)
        self.stack.__exit__(*exception)

    def url(self, api: str, region: str, path: str) -> str:
        return f"{self.gateway.url}/customergauge/{region}/{path}"

    def client(self, region: str) -> dict[str, str]:
        return {"client_id": "crm", "client_secret": self.key}

    def api_key(self, region: str) -> str:
        return self.key

    def effects(self, **filters: str) -> list[dict[str, Any]]:
        self.wait()
        return self.sim.effects(**filters)

    def wait(self) -> None:
        """Wait until workers have sent all jobs."""
        wait_until(lambda: not any(self._open(region) for region in Region), what=self.stack.undelivered)

    def _open(self, region: Region) -> int:
        counts = self.stack.counts(region)
        return int(counts["queued"]) + int(counts["waiting"]) + int(counts["sending"])

    def reset(self) -> None:
        """Forget what the simulator knows; its knobs are those of its start."""
        self.wait()
        self.sim.reset()
