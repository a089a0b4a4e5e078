"""Dashboards and alerts, held against the metrics that there are, the runbook, and promtool."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops.metrics_list import series
from tests.ops.promql import asked_by

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "compose" / "prometheus" / "alerts.yml"
PROMETHEUS = ROOT / "compose" / "prometheus" / "prometheus.yml"
ALERT_TESTS = Path(__file__).parent / "alerts.test.yml"
GRAFANA = ROOT / "compose" / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
RUNBOOK = ROOT / "ops" / "runbook.md"

# Prometheus' own: who was asked, and whether it answered.
TARGET_LABELS = frozenset({"job", "instance"})
KNOWN = {"up": frozenset[str](), **series()}
_LEGEND = re.compile(r"{{(\w+)}}")


def _rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def _targets(dashboard: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target


def _check(expression: str) -> frozenset[str]:
    """Every name and label in it is one that is shown; return the labels that there may be."""
    asked = asked_by(expression)
    assert asked.series, expression
    assert asked.series <= set(KNOWN), asked.series - set(KNOWN)
    for name, label in asked.matched:
        assert label in KNOWN[name] | TARGET_LABELS, f"{name} has no label {label}"
    labels = TARGET_LABELS.union(*(KNOWN[name] for name in asked.series))
    assert asked.grouped <= labels, f"{asked.grouped - labels} in {expression}"
    return labels


def test_the_folders_are_where_compose_mounts_them_from() -> None:
    assert [path.stem for path in DASHBOARDS] == ["gateway", "overview", "shards", "stores"]
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())
    (prometheus,) = source["datasources"]
    assert (prometheus["uid"], prometheus["type"]) == ("prometheus", "prometheus")
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/tessera.yml").read_text())
    assert provider["providers"][0]["options"]["path"] == "/etc/grafana/dashboards"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_asks_for_what_is_shown(dashboard: Path) -> None:
    targets = list(_targets(dashboard))
    assert len(targets) >= 10
    for title, target in targets:
        labels = _check(target["expr"])
        assert target["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        legend = set(_LEGEND.findall(target["legendFormat"]))
        grouped = asked_by(target["expr"]).grouped
        if "(" in target["expr"]:  # What is summed away can't be in the legend.
            assert legend <= grouped | _all_of_one(target["expr"]), (title, target)
        assert legend <= labels, (title, legend - labels)


def _all_of_one(expression: str) -> frozenset[str]:
    """Functions that change numbers and no labels keep them all."""
    return frozenset() if "sum" in expression else _check(expression)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_have_names_of_their_own_and_do_not_overlap(dashboard: Path) -> None:
    panels = json.loads(dashboard.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not own & cells, panel["title"]
        cells |= own


def test_every_metric_of_ours_is_on_some_dashboard() -> None:
    shown = {
        name
        for dashboard in DASHBOARDS
        for _, target in _targets(dashboard)
        for name in asked_by(target["expr"]).series
    }
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in shown}
    ours = {re.sub("_(bucket|sum|count)$", "", name) for name in series() if "tessera_" in name}
    assert ours <= families, ours - families


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_is_shown_and_says_what_to_do(rule: dict[str, Any]) -> None:
    labels = _check(rule["expr"])
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "runbook"}
    kept = asked_by(rule["expr"]).grouped if "sum" in rule["expr"] else labels
    for used in re.findall(r"\$labels\.(\w+)", annotations["summary"]):
        assert used in kept, f"{used} is not among the labels of {rule['alert']}"
    assert annotations["runbook"] == f"ops/runbook.md#{rule['alert'].lower()}"


def test_alerts_ask_for_jobs_that_there_are() -> None:
    jobs = {one["job_name"] for one in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]}
    named = re.findall(r'\bjob=~?"([^"]+)"', ALERTS.read_text())
    assert {"gateway", "shard", "lb"} <= {job for each in named for job in each.split("|")} <= jobs


def test_the_runbook_has_a_paragraph_for_each_alert_and_no_other() -> None:
    section = RUNBOOK.read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
    paragraphs = re.split(r"^### ", section, flags=re.MULTILINE)[1:]
    told = {each.partition("\n")[0]: each for each in paragraphs}
    assert set(told) == {rule["alert"] for rule in _rules()}
    for rule in _rules():
        text = told[rule["alert"]]
        assert f"*{rule['labels']['severity']}*" in text
        assert "\n1. " in text, f"{rule['alert']} says what it means, but not what to do"


def test_names_of_metrics_in_the_runbook_are_shown() -> None:
    names = set(re.findall(r"\btessera_\w+", RUNBOOK.read_text()))
    assert names <= set(KNOWN), names - set(KNOWN)


def test_every_alert_is_seen_to_fire_and_to_be_silent() -> None:
    (well, *others) = yaml.safe_load(ALERT_TESTS.read_text())["tests"]
    names = {rule["alert"] for rule in _rules()}
    assert {one["alertname"] for one in well["alert_rule_test"]} == names
    assert not any(one["exp_alerts"] for one in well["alert_rule_test"])
    fired = [one for other in others for one in other["alert_rule_test"] if one["exp_alerts"]]
    assert {one["alertname"] for one in fired} == names


def test_the_series_that_alerts_are_tested_with_are_shown() -> None:
    for test in yaml.safe_load(ALERT_TESTS.read_text())["tests"]:
        for given in test["input_series"]:
            _check(given["series"])


@pytest.mark.parametrize("words", [("check", "rules", ALERTS), ("test", "rules", ALERT_TESTS)])
def test_promtool_finds_nothing_wrong(words: tuple[object, ...]) -> None:
    """promtool is of Debian's package prometheus, which .ci/run installs."""
    done = subprocess.run(
        ["promtool", *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
