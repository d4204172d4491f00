"""Writes the dashboard, `gaugepost.json`, from the list of its panels; `--check` tells whether it is what this makes.

A panel is its title, its unit and its queries, each with a legend. `$region` and `$__rate_interval` are Grafana's to
fill in. `tests/acceptance/test_alerts.py` runs every query against a real Prometheus that scrapes a real gaugepost.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "gaugepost.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT, SMALL = 8, 8, 4


@dataclass(frozen=True)
class Panel:
    """One panel; `queries` are (PromQL, legend). A stat is `red_from` some value on."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    about: str = ""
    kind: str = "timeseries"
    red_from: float | None = None
    stacked: bool = False


def stat(title: str, unit: str, query: str, red_from: float | None, about: str = "") -> Panel:
    """Make a panel of one number a region."""
    return Panel(title, unit, ((query, "{{region}}"),), about, "stat", red_from)


def lines(title: str, unit: str, *queries: tuple[str, str], about: str = "", stacked: bool = False) -> Panel:
    """Make a panel of lines."""
    return Panel(title, unit, queries, about, stacked=stacked)


def rate(counter: str, by: str, more: str = "") -> str:
    """Write how often a second a counter of workers rises."""
    return f'sum by ({by}) (rate({counter}{{region=~"$region"{more}}}[$__rate_interval]))'


def risen(counter: str, by: str, within: str, more: str = "") -> str:
    """Write how much a counter of workers rose."""
    return f'sum by ({by}) (increase({counter}{{region=~"$region"{more}}}[{within}]))'


def quantile(q: float, histogram: str) -> str:
    """Write a quantile over all kinds and processes of a region."""
    seen = f'rate({histogram}_bucket{{region=~"$region"}}[$__rate_interval])'
    return f"histogram_quantile({q}, sum by (region, le) ({seen}))"


def of(gauge: str, more: str = "") -> str:
    """Write a gauge of the exporter; several exporters tell the same."""
    return f'{gauge}{{region=~"$region"{more}}}'


def quantiles(title: str, histogram: str, about: str) -> Panel:
    """Make a panel of the median and the slow end."""
    asked = tuple((quantile(q, histogram), f"{{{{region}}}} {q:.0%}") for q in (0.5, 0.95, 0.99))
    return lines(title, "s", *asked, about=about)


ROWS: dict[str, tuple[Panel, ...]] = {
    "Now": (
        stat("Redis answers", "short", of("gaugepost_redis_up"), None, "1: it does"),
        stat("Oldest urgent job", "s", of("gaugepost_oldest_urgent_age_seconds"), 60),
        stat("Oldest queued job", "s", of("gaugepost_oldest_job_age_seconds", ', state="queued"'), 1800),
        stat("Holds on the region", "short", "sum by (region) (" + of("gaugepost_holds", ', scope="region"') + ")", 1),
        stat("Needs a person (unknown)", "short", of("gaugepost_ledger_jobs", ', state="unknown"'), 1),
        stat(
            "Workers", "short", of("gaugepost_workers"), None, "processes that claimed lately; 0 while there is no work"
        ),
    ),
    "What goes out": (
        lines(
            "Delivered a second",
            "ops",
            (rate("gaugepost_jobs_total", "region, kind", ', state="delivered"'), "{{region}} {{kind}}"),
            stacked=True,
        ),
        lines(
            "What became of jobs, a second",
            "ops",
            (rate("gaugepost_jobs_total", "region, state"), "{{region}} {{state}}"),
        ),
        lines(
            "Attempts that were not delivered, a second",
            "ops",
            (
                rate("gaugepost_attempts_total", "region, verdict", ', verdict!~"delivered.*"') + " > 0",
                "{{region}} {{verdict}}",
            ),
            about="by verdict",
        ),
        quantiles("From enqueue to delivery", "gaugepost_delivery_seconds", "waiting included: back-off, holds, slots"),
        quantiles("One HTTP exchange", "gaugepost_exchange_seconds", "how fast CustomerGauge answers"),
        lines(
            "Unrecognised and lost answers in an hour",
            "short",
            (
                risen(
                    "gaugepost_attempts_total",
                    "region, kind, verdict",
                    "1h",
                    ', verdict=~"unrecognised_.*|lost_answer"',
                )
                + " > 0",
                "{{region}} {{kind}} {{verdict}}",
            ),
        ),
    ),
    "What waits, and why": (
        lines(
            "Jobs by state",
            "short",
            (of("gaugepost_ledger_jobs", ', state!="delivered"') + " > 0", "{{region}} {{state}}"),
        ),
        lines(
            "Parked, by reason", "short", (of("gaugepost_parked_jobs") + " > 0", "{{region}} {{reason}}"), stacked=True
        ),
        lines(
            "Dead, by verdict", "short", (of("gaugepost_dead_jobs") + " > 0", "{{region}} {{verdict}}"), stacked=True
        ),
        lines("Oldest job, by state", "s", (of("gaugepost_oldest_job_age_seconds") + " > 0", "{{region}} {{state}}")),
        lines("Holds", "short", (of("gaugepost_holds") + " > 0", "{{region}} {{scope}}: {{about}}"), stacked=True),
        lines("How long holds have stood", "s", (of("gaugepost_hold_age_seconds"), "{{region}} {{scope}}: {{about}}")),
    ),
    "Uploads and tokens": (
        lines("Files waiting for a slot", "short", (of("gaugepost_files_waiting"), "{{region}} {{lane}}")),
        lines("Next upload in", "s", (of("gaugepost_next_slot_seconds"), "{{region}} {{lane}}")),
        lines(
            "Stored contents",
            "bytes",
            (of("gaugepost_content_bytes"), "{{region}}"),
            (f"max({of('gaugepost_content_limit_bytes')})", "limit"),
        ),
        lines(
            "Access token: its age, and what is left",
            "s",
            (of("gaugepost_token_age_seconds"), "{{region}} age"),
            (of("gaugepost_token_left_seconds"), "{{region}} left"),
            about="no age, and 0 left: there is none; it is fetched when a job needs it",
        ),
        lines(
            "Tokens fetched in an hour",
            "short",
            (f"delta({of('gaugepost_token_generation')}[1h])", "{{region}}"),
            about="about one",
        ),
        lines(
            "Jobs that may be out at a time",
            "short",
            (of("gaugepost_worker_threads"), "{{region}} workers"),
            (of("gaugepost_concurrency_limit") + " > 0", "{{region}} limit"),
            about="the limit is there after a throttling, until it has grown back",
        ),
    ),
    "The machinery": (
        lines(
            "Since the last tick's work, since beat ticked",
            "s",
            (of("gaugepost_ticked_ago_seconds") + " < +Inf", "{{region}} work"),
            (of("gaugepost_beat_ago_seconds") + " < +Inf", "{{region}} beat"),
        ),
        lines(
            "Ticks: sent and done, a second",
            "ops",
            (rate("gaugepost_beat_ticks_total", "region"), "{{region}} sent"),
            (rate("gaugepost_ticks_total", "region"), "{{region}} done"),
            (rate("gaugepost_own_ticks_total", "region"), "{{region}} done without beat"),
        ),
        lines(
            "Ticks that no worker has read",
            "short",
            (of("gaugepost_ticks_waiting"), "{{region}}"),
            (rate("gaugepost_beat_failures_total", "region") + " > 0", "{{region}} not taken by Redis, a second"),
        ),
        lines(
            "Rescued from lost workers in 15 minutes",
            "short",
            (risen("gaugepost_rescued_jobs_total", "region", "15m"), "{{region}}"),
        ),
        lines(
            "Late: parked jobs, lost jobs",
            "s",
            (of("gaugepost_parked_late_seconds"), "{{region}} parked"),
            (of("gaugepost_leases_late_seconds"), "{{region}} lost"),
        ),
        lines(
            "Memory of Redis",
            "bytes",
            (of("gaugepost_redis_memory_bytes"), "{{region}}"),
            (of("gaugepost_redis_memory_limit_bytes") + " > 0", "{{region}} limit"),
        ),
        lines(
            "Backlog, as a share of its limit",
            "percentunit",
            (f"{of('gaugepost_backlog')} / {of('gaugepost_backlog_limit')}", "{{region}}"),
        ),
        lines(
            "CPU of the processes",
            "percentunit",
            ('rate(process_cpu_seconds_total{job="gaugepost"}[$__rate_interval])', "{{instance}}"),
        ),
        lines("Memory of the processes", "bytes", ('process_resident_memory_bytes{job="gaugepost"}', "{{instance}}")),
        lines("How long a look at the ledger takes", "s", (of("gaugepost_look_seconds"), "{{region}}")),
    ),
}


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.kind == "stat":
        steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
        steps += [] if panel.red_from is None else [{"color": "red", "value": panel.red_from}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        options: dict[str, Any] = {
            "reduceOptions": {"calcs": ["lastNotNull"]},
            "colorMode": "value",
            "textMode": "auto",
        }
    else:
        drawn = {"fillOpacity": 30 if panel.stacked else 0, "stacking": {"mode": "normal" if panel.stacked else "none"}}
        defaults["custom"] = {**drawn, "lineWidth": 1, "showPoints": "never"}
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    targets = [
        {"refId": chr(ord("A") + i), "expr": query, "legendFormat": legend, "datasource": SOURCE}
        for i, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number, "type": panel.kind, "title": panel.title, "description": panel.about, "datasource": SOURCE,
        "gridPos": place, "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
        "targets": targets,
    }  # fmt: skip


def _panels() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    top = 0
    for title, panels in ROWS.items():
        place = {"h": 1, "w": 24, "x": 0, "y": top}
        made.append(
            {"id": len(made) + 1, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        )
        top += 1
        small = panels[0].kind == "stat"
        width, height = (SMALL, 4) if small else (WIDTH, HEIGHT)
        a_row = 24 // width
        for i, panel in enumerate(panels):
            place = {"h": height, "w": width, "x": i % a_row * width, "y": top + i // a_row * height}
            made.append(_panel(len(made) + 1, panel, place))
        top += -(-len(panels) // a_row) * height
    return made


def _variable(name: str, kind: str, **more: object) -> dict[str, Any]:
    return {"name": name, "type": kind, "label": name, "hide": 0, "skipUrlSync": False, **more}


def dashboard() -> dict[str, Any]:
    """Make the dashboard as Grafana imports it."""
    regions = "label_values(gaugepost_redis_up, region)"
    return {
        "uid": "gaugepost", "title": "gaugepost", "tags": ["gaugepost"], "schemaVersion": 38, "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [
            _variable("datasource", "datasource", query="prometheus", refresh=1),
            _variable(
                "region", "query", datasource=SOURCE, definition=regions, query={"query": regions, "refId": "regions"},
                includeAll=True, multi=True, allValue=".*", refresh=2, sort=1,
                current={"text": ["All"], "value": ["$__all"]},
            ),
        ]},
        "annotations": {"list": [{
            "name": "Alerts", "enable": True, "iconColor": "red", "datasource": SOURCE,
            "expr": 'ALERTS{alertname=~"Gaugepost.+", alertstate="firing"}', "titleFormat": "{{alertname}}",
            "textFormat": "{{region}}",
        }]},
        "panels": _panels(),
    }  # fmt: skip


def main() -> int:
    """Write the file, or with --check tell whether it is stale."""
    text = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" not in sys.argv:
        HERE.write_text(text, encoding="utf-8")
    elif not HERE.is_file() or HERE.read_text(encoding="utf-8") != text:
        sys.stderr.write("ops/grafana/gaugepost.json is not what ops/grafana/dashboard.py makes\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
