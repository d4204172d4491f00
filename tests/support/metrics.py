"""Read the metrics of a process."""

from __future__ import annotations

import urllib.request

from prometheus_client.parser import text_string_to_metric_families


def text(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def value(port: int, name: str, **labels: str) -> float | None:
    """Return one sample, or None if none has these labels."""
    for family in text_string_to_metric_families(text(port)):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None
