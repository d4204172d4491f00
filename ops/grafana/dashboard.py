"""Write the Grafana dashboard `gaugepost.json` from the panels of `panels.py`.

With `--check` write nothing, and exit 1 if the file is out of date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panels import ROWS

if TYPE_CHECKING:
    from panels import Panel

HERE = Path(__file__).parent / "gaugepost.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT, SMALL = 8, 8, 4


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
    panels_json: list[dict[str, Any]] = []
    top = 0
    for title, panels in ROWS.items():
        place = {"h": 1, "w": 24, "x": 0, "y": top}
        panels_json.append(
            {
                "id": len(panels_json) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        )
        top += 1
        small = panels[0].kind == "stat"
        width, height = (SMALL, 4) if small else (WIDTH, HEIGHT)
        a_row = 24 // width
        for i, panel in enumerate(panels):
            place = {"h": height, "w": width, "x": i % a_row * width, "y": top + i // a_row * height}
            panels_json.append(_panel(len(panels_json) + 1, panel, place))
        top += -(-len(panels) // a_row) * height
    return panels_json


def _variable(name: str, kind: str, **more: object) -> dict[str, Any]:
    return {"name": name, "type": kind, "label": name, "hide": 0, "skipUrlSync": False, **more}


def dashboard() -> dict[str, Any]:
    """Return the dashboard in Grafana's import format."""
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
    """Write the file. With --check return 1 if it is out of date."""
    text = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" not in sys.argv:
        HERE.write_text(text, encoding="utf-8")
    elif not HERE.is_file() or HERE.read_text(encoding="utf-8") != text:
        sys.stderr.write("out of date: ops/grafana/gaugepost.json. Run `python ops/grafana/dashboard.py`.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
