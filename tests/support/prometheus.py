"""Run Debian's Prometheus with the project's alerts and short waits."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Self

from support.redis_server import free_port
from support.wait import wait_until

ALERTS = Path(__file__).parents[2] / "ops/prometheus/alerts.yml"
WINDOW_S = 12

# What takes minutes or hours in production takes seconds here; the expressions stay what they are.
_HURRY = (
    (r"for: \d+m", "for: 1s"),
    (r"\[(15m|1h)\]", f"[{WINDOW_S}s]"),
    (r"(oldest_urgent_age_seconds) > 60", r"\1 > 3"),
    (r"(oldest_job_age_seconds\{[^}]*\}) > 1800", r"\1 > 3"),
    (r"(hold_age_seconds\{[^}]*\}\)) > 86400", r"\1 > 3"),
    (r"(ticked_ago_seconds) > 30", r"\1 > 9"),  # longer than until workers run the ticks themselves
    (r"(beat_ago_seconds) > 60", r"\1 > 4"),
    (r"(dead_jobs\[\w+\]\)) > 20", r"\1 > 2"),
    (r"(lost_answer\"\}\[\w+\]\)\)) > 5", r"\1 > 1"),
)


def hurried(rules: str) -> str:
    """Return the rules with short waits. Fails if a rule is missing."""
    for pattern, replacement in _HURRY:
        rules, times = re.subn(pattern, replacement, rules)
        assert times, pattern
    return rules


class Prometheus:
    """Scrapes these ports each second, as one job."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.folder = folder
        self.port = free_port()
        self._targets = [f"127.0.0.1:{port}" for port in ports]

    def __enter__(self) -> Self:
        self.folder.mkdir()
        (self.folder / "alerts.yml").write_text(hurried(ALERTS.read_text()))
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yml"],
            "scrape_configs": [{"job_name": "gaugepost", "static_configs": [{"targets": self._targets}]}],
        }
        (self.folder / "prometheus.yml").write_text(json.dumps(config))
        self._log = (self.folder / "log").open("wb")
        where = [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        self._process = subprocess.Popen(["prometheus", *where], cwd=self.folder, stdout=self._log, stderr=self._log)
        self.started = time.time()
        wait_until(self._answers, what="Prometheus answers")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        self._log.close()

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            return bool(self.query("up"))
        except OSError:
            return False

    def ask(self, path: str, **parameters: object) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the present series of an expression."""
        return self.ask("query", query=expression)["result"]

    def ever(self, expression: str) -> list[dict[str, Any]]:
        """Return the series for which an expression had a number at any time since the start."""
        found = self.ask("query_range", query=expression, start=self.started, end=time.time(), step=1)["result"]
        return [series for series in found if any(number != "NaN" for _, number in series["values"])]

    def firing(self) -> dict[str, dict[str, Any]]:
        """Return the alerts that fire now, by name."""
        alerts = self.ask("alerts")["alerts"]
        return {alert["labels"]["alertname"]: alert for alert in alerts if alert["state"] == "firing"}
