from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
from prometheus_client.metrics import MetricWrapperBase

import common.adapters.metrics
import gateway.metrics
import shard.metrics
from tests.ops.metrics_list import listed

SECTIONS = {
    "A gateway": gateway.metrics,
    "A shard": shard.metrics,
    "Both": common.adapters.metrics,
}


def _defined(module: ModuleType) -> Iterator[tuple[str, str, frozenset[str]]]:
    for metric in vars(module).values():
        if isinstance(metric, MetricWrapperBase):
            yield metric._name, str(metric._type), frozenset(metric._labelnames)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_list_has_what_is_defined_and_nothing_else(section: str) -> None:
    here = {(one.family, one.kind, one.labels) for one in listed() if one.section == section}
    assert here == set(_defined(SECTIONS[section]))


def test_names_have_their_prefix_and_units() -> None:
    for one in listed():
        if one.section.startswith("Of the process"):
            continue
        assert one.name.startswith("tessera_")
        assert one.name.endswith("_total") == (one.kind == "counter")
        if one.kind == "histogram":
            assert one.name.endswith(("_seconds", "_rows", "_together")), one.name


def test_no_metric_is_listed_twice() -> None:
    names = [one.name for one in listed()]
    assert len(names) == len(set(names))
