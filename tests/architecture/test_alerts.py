"""Check alerts and dashboard as files: promtool accepts them, their metrics exist, and every alert has a runbook."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from gaugepost import Region
from gaugepost.jobs import JOBS
from gaugepost.verdict import Verdict
from gaugepost_ops import exporter, webhook_metrics
from gaugepost_ops.web.observed import GatewayMetrics
from gaugepost_workers.observers.metrics import BeatMetrics, WorkerMetrics
from support.prometheus import hurried
from support.runbooks import looks

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
RULES = (OPS / "prometheus/alerts.yml").read_text()
ALERTS = re.findall(r"- alert: (\w+)", RULES)
BOARD = json.loads((OPS / "grafana/gaugepost.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
SCALING = [path.read_text() for path in sorted((OPS / "k8s").glob("worker-*.yaml"))]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]


def promtool(*arguments: str, folder: Path = OPS / "prometheus") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("arguments", [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml")])
def test_promtool_accepts_the_configuration_and_the_rules(arguments: tuple[str, ...]) -> None:
    done = promtool(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("promtool")
def test_the_alertmanager_in_the_comments_can_be_switched_on(tmp_path: Path) -> None:
    config = (OPS / "prometheus/prometheus.yml").read_text()
    on = re.sub(r"^# (alerting:|  )", r"\1", config, flags=re.MULTILINE)
    assert "\nalerting:\n  alertmanagers:\n" in on
    (tmp_path / "prometheus.yml").write_text(on)
    (tmp_path / "alerts.yml").write_text(RULES)
    assert promtool("check", "config", "prometheus.yml", folder=tmp_path).returncode == 0


def test_alerts_have_the_labels_that_route_them() -> None:
    tests = (OPS / "prometheus/alerts_test.yml").read_text().split("\n    name: ")[1:]
    without = {one.partition("\n")[0] for one in tests if not re.search(r'alertname=[^}]+ region="eu"', one)}
    assert without == {"GaugepostGatewayErrors", "GaugepostTargetDown", "GaugepostExporterMissing"}
    assert all(f"`{alert}`" in (ROOT / "docs/monitoring.md").read_text() for alert in without)


@pytest.mark.needs("promtool")
def test_promtool_sees_each_alert_fire_and_recover() -> None:
    done = promtool("test", "rules", "alerts_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    tested = (OPS / "prometheus/alerts_test.yml").read_text()
    assert sorted(re.findall(r"name: (\w+)", tested)) == sorted(ALERTS)


def silenced(found: re.Match[str]) -> str:
    return (
        f"expr: ({found[1]}) and on () vector(0) > 1" if found[1] else f"          {found[2]} and on () vector(0) > 1"
    )


@pytest.mark.needs("promtool")
@pytest.mark.parametrize(
    ("pattern", "broken"),
    [
        (r"for: \d+m", "for: 0s"),  # too early
        (r"expr: (?!>-)(.*)$|^ {10}(unless .*)$", silenced),
    ],
)
def test_promtool_finds_each_alert_that_fires_too_early_or_never(
    tmp_path: Path, pattern: str, broken: str | Callable[[re.Match[str]], str]
) -> None:
    (tmp_path / "alerts.yml").write_text(re.sub(pattern, broken, RULES, flags=re.MULTILINE))
    (tmp_path / "alerts_test.yml").write_text((OPS / "prometheus/alerts_test.yml").read_text())
    done = promtool("test", "rules", "alerts_test.yml", folder=tmp_path)
    expected = set(ALERTS) if "expr" in pattern else {alert for alert in ALERTS if "for: " in rule_of(alert)}
    assert set(re.findall(r'alertname="(\w+)', (done.stdout + done.stderr).replace("\\", ""))) == expected


def rule_of(alert: str) -> str:
    return RULES.partition(f"- alert: {alert}\n")[2].partition("- alert:")[0]


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_links_a_runbook_that_names_its_tested_fault(alert: str) -> None:
    rule = rule_of(alert)
    path = f"ops/runbooks/{alert}.md"
    assert f"runbook: {path}\n" in rule
    assert re.search(r"severity: (page|ticket)\b", rule)
    text = (ROOT / path).read_text()
    for heading in (f"# {alert}\n", "**Look**", "**Do**", "**Recovers**", "**Walked through**"):
        assert heading in text
    for link in re.findall(r"\]\((\w+\.md)\)", text):
        assert (OPS / "runbooks" / link).is_file(), link
    assert looks(alert)
    assert all(look.promised for look in looks(alert)), "each **Look** line says what it prints"


def test_runbook_record_has_each_alert_with_finding_and_fix() -> None:
    page = (OPS / "runbooks/README.md").read_text()
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \|(.+)\|$", page, re.MULTILINE)
    assert [alert for alert, _, _ in rows] == ALERTS
    assert [link for _, link, _ in rows] == ALERTS
    for alert, _, columns in rows:
        cells = [cell.strip() for cell in columns.split("|")]
        assert len(cells) == 3, alert
        assert all(cells), alert
        mended = re.findall(r"`([\w./-]+/[\w.]+)`", cells[2])
        assert mended or cells[2] == "nothing", alert
        assert all((ROOT / path).is_file() for path in mended), mended


def test_every_runbook_of_an_alert_has_its_alert() -> None:
    assert {path.stem for path in (OPS / "runbooks").glob("Gaugepost*.md")} == set(ALERTS)


def test_runbooks_name_commands_that_exist() -> None:
    from gaugepost_ops.cli.app import COMMANDS  # noqa: PLC0415

    for path in (OPS / "runbooks").glob("Gaugepost*.md"):
        for command in re.findall(r"(?:^\$ |`)gaugepost ([a-z]+)\b", path.read_text(), re.MULTILINE):
            assert command in COMMANDS, (path.name, command)


def there_are() -> set[str]:
    """Return the names of all metrics: those that processes expose, and those that the exporter's code lists."""
    shown = b"".join(
        generate_latest(one.registry) for one in (WorkerMetrics(Region.EU), BeatMetrics(["eu"]), GatewayMetrics())
    )
    names = set(re.findall(r"^# TYPE (\w+) ", shown.decode(), re.MULTILINE))
    names |= {f"{name}_bucket" for name in names}
    source = "".join(Path(str(module.__file__)).read_text() for module in (exporter, webhook_metrics))
    ours = re.findall(r'(?:_family\(\s*"|"gaugepost_)(\w+)"', source) + re.findall(
        r'^\s+\(\s*"(\w+)",', source, re.MULTILINE
    )
    return names | {f"gaugepost_{name}" for name in ours}


@pytest.mark.parametrize("query", [RULES, *QUERIES, *SCALING])
def test_alerts_and_dashboard_ask_for_metrics_that_exist(query: str) -> None:
    asked = set(
        re.findall(r"\b((?:gaugepost|process)_\w+)(?=[{\[ )\n])", re.sub(r"#.*|summary:.*|description:.*", "", query))
    )
    assert asked
    assert asked <= there_are()


@pytest.mark.starts_process
def test_dashboard_is_the_output_of_its_script() -> None:
    done = subprocess.run([sys.executable, OPS / "grafana/dashboard.py", "--check"], check=False, timeout=60)
    assert done.returncode == 0


def test_the_dashboards_panels_are_whole_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in PANELS:
        assert panel["title"]
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEF")[: len(panel["targets"])]
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_labels_are_bounded_and_contain_no_free_text() -> None:
    known = [*map(str, Verdict), "hold", "sealed", "breaker", "credentials"]
    said = {
        "no_campaign": "no_campaign",
        "breaker: lost_answer": "breaker",
        "sealed: GAUGEPOST_DATA_KEY of a worker cannot decrypt it": "sealed",
        "EU_API_KEY is not set": "credentials",
        "Jane Roe of joe@example.net asked for it": "hold",
    }
    assert {label: exporter.bounded(label, known) for label in said} == said
    assert exporter.bounded("breaker", ["other"]) == "other"
    assert len(generate_latest(WorkerMetrics(Region.EU).registry).splitlines()) < 50 + len(JOBS) * len(Verdict)


@pytest.mark.needs("promtool")
def test_the_rules_in_a_hurry_are_rules_too(tmp_path: Path) -> None:
    (tmp_path / "alerts.yml").write_text(hurried(RULES))
    assert promtool("check", "rules", "alerts.yml", folder=tmp_path).returncode == 0
