"""An alert on how a counter grows sees the first event only if the counter was shown before it.

So each series that such a rule names is shown by a process of ours that has done nothing yet. Which
these are is read out of the rules. A process of its own tells, for what others did would show here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.ops.metrics_list import listed
from tests.ops.promql import Counted, counted_by

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "compose" / "prometheus" / "alerts.yml"

ROLES = {"A gateway": ("gateway",), "A shard": ("shard",), "Both": ("gateway", "shard")}

FRESH = {
    "gateway": """
import trio
from prometheus_client import REGISTRY, generate_latest

import gateway.main, gateway.metrics
from tests.gateway.http.conftest import a_house

async def main():
    app = a_house().app
    print((generate_latest(REGISTRY) + generate_latest(gateway.metrics.REGISTRY)).decode())
    print(*("# RULE " + one.rule for one in app.url_map.iter_rules()), sep="\\n")

trio.run(main)
""",
    "shard": """
from prometheus_client import REGISTRY, generate_latest

import shard.main, shard.metrics

print((generate_latest(REGISTRY) + generate_latest(shard.metrics.REGISTRY)).decode())
""",
}


def _told_by(role: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", FRESH[role]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    return {role: _told_by(role) for role in FRESH}


def _families(text: str) -> Sequence[Metric]:
    return list(text_string_to_metric_families(text))


def _waited_for() -> Iterator[tuple[str, Counted]]:
    """What rules wait for that fire at once: any increase, and a rate of more than none."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]:
        for counted in counted_by(rule["expr"]):
            if counted.function == "increase" or rule["expr"].endswith("> 0"):
                yield rule["alert"], counted


WAITED_FOR = list(_waited_for())


def _shows(families: Sequence[Metric], counted: Counted) -> bool:
    return any(
        sample.name == counted.series and counted.labels.items() <= sample.labels.items()
        for family in families
        for sample in family.samples
    )


@pytest.mark.parametrize(
    ("alert", "counted"),
    WAITED_FOR,
    ids=[f"{alert}-{'-'.join(one.labels.values())}" for alert, one in WAITED_FOR],
)
def test_what_an_alert_waits_for_is_shown_before_it_happens(
    told: dict[str, str], alert: str, counted: Counted
) -> None:
    (section,) = (one.section for one in listed() if counted.series in one.series)
    for role in ROLES[section]:
        assert _shows(_families(told[role]), counted), f"{alert} would not see the first {counted}"


def test_there_are_such_alerts() -> None:
    assert {"TesseraLeaseLost", "TesseraCallsFail", "TesseraGatewayDropsOffers"} <= {
        alert for alert, _ in WAITED_FOR
    }


def test_a_mistake_at_any_address_is_seen_from_the_first_one_on(told: dict[str, str]) -> None:
    rules = {
        line.removeprefix("# RULE ")
        for line in told["gateway"].splitlines()
        if line.startswith("# RULE ")
    }
    assert len(rules) > 20
    shown = {
        sample.labels["route"]
        for family in _families(told["gateway"])
        for sample in family.samples
        if sample.name == "tessera_http_answers_total" and sample.labels["status"] == "500"
    }
    assert shown == rules | {"none"}
