"""How much a process used, and what it says of itself, between two moments.

CPU is the kernel's count, of the process and all that it started: PostgreSQL is many. Memory is
what the kernel holds for the process (RSS), of PostgreSQL without what its processes share (USS).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import attrs
import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

Buckets = Mapping[float, float]
"""Upper bound -> how many were at most that, as Prometheus has it."""


@attrs.frozen
class Usage:
    """CPU seconds so far, and bytes now."""

    cpu: float
    rss: int
    uss: int


def usage(pid: int) -> Usage:
    root = psutil.Process(pid)
    cpu, rss, uss = 0.0, 0, 0
    for process in (root, *root.children(recursive=True)):
        try:
            times, memory = process.cpu_times(), process.memory_full_info()
        except psutil.NoSuchProcess:
            continue  # It ended meanwhile; its parent counts it.
        cpu += times.user + times.system + times.children_user + times.children_system
        rss, uss = rss + memory.rss, uss + memory.uss
    return Usage(cpu, rss, uss)


@attrs.frozen
class Account:
    """What a process counted of itself so far."""

    buckets: Mapping[str, Buckets]
    """Of each histogram."""
    samples: Mapping[str, float]
    """By the whole name, labels too."""


async def account(port: int) -> Account:
    """Ask the private port ``port``."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    buckets: dict[str, dict[float, float]] = {}
    samples: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                bounds = buckets.setdefault(family.name, {})
                bounds[float(sample.labels["le"])] = sample.value
            else:
                labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
                samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return Account(buckets, samples)


def between(before: Account, after: Account, name: str) -> Buckets:
    """Return the histogram ``name`` of what came between the two."""
    earlier = before.buckets.get(name, {})
    return {bound: count - earlier.get(bound, 0) for bound, count in after.buckets[name].items()}


def quantile(buckets: Buckets, share: float) -> float:
    """Return the quantile as Prometheus reckons it: evenly spread within a bucket. NaN of none."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]]
    if total <= 0:
        return math.nan
    rank = share * total
    for low, high in pairwise((0.0, *bounds)):
        reached = buckets.get(low, 0.0)
        if buckets[high] >= rank and buckets[high] > reached:
            if math.isinf(high):
                return low  # Later than the last bound: that much is known.
            return low + (high - low) * (rank - reached) / (buckets[high] - reached)
    return math.nan


def bound_of_all(buckets: Buckets) -> float:
    """Return the smallest bound that nothing was beyond."""
    total = max(buckets.values())
    return min((bound for bound, count in buckets.items() if count >= total), default=math.nan)


def growth(sizes: Sequence[int], counts: Sequence[int]) -> float:
    """Return bytes for each one more, between two sizes."""
    return (sizes[1] - sizes[0]) / (counts[1] - counts[0])
