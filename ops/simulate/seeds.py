"""Many seeds on all cores, with a progress bar; what failed is said with its seed, to be repeated.

Each seed is a run of its own in a process of the pool; nothing is shared but the terrain.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed

import attrs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ops.simulate.plan import Plan
from ops.simulate.servers import Adapters
from ops.simulate.simulation import Outcome, simulate

SEEDS_PER_LIFE = 500  # Then workers are replaced: what a run leaves behind is not kept for ever.


@attrs.frozen
class _Job:
    adapters: Adapters | None

    def __call__(self, plan: Plan) -> Outcome:
        return attrs.evolve(simulate(plan, self.adapters), transcript=())  # Some MB.


def outcomes(plans: Sequence[Plan], adapters: Adapters | None = None) -> Iterator[Outcome]:
    """Yield the outcomes of ``plans`` as they come, in any order. Close it to stop early.

    BrokenExecutor when a worker ends before its time, as when memory runs out: the seeds that
    follow are not tried.
    """
    workers, job = os.cpu_count() or 1, _Job(adapters)
    context, others = multiprocessing.get_context("spawn"), multiprocessing.active_children()
    for first in range(0, len(plans), workers * SEEDS_PER_LIFE):
        with ProcessPoolExecutor(workers, context, _end_with_parent) as pool:
            some = plans[first : first + workers * SEEDS_PER_LIFE]
            try:
                for ended in as_completed([pool.submit(job, plan) for plan in some]):
                    yield ended.result()
            except BaseException:  # It waits for those that run, and a seed may take minutes.
                for worker in multiprocessing.active_children():
                    if worker not in others:
                        worker.terminate()
                raise


def _end_with_parent() -> None:
    """Have this process end when the one that started it does, however that comes about."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is no worker"

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def run_all(plans: Sequence[Plan], console: Console) -> bool:
    """Run ``plans``, say what failed, and a summary; True when all ran and nothing did."""
    tried, failed, total, simulated, took = 0, 0, Counter[str](), 0.0, 0.0
    columns = (
        TextColumn("seeds"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]} failed"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("seeds", total=len(plans), failed=0)
        try:
            for outcome in outcomes(plans):
                tried += 1
                total += outcome.counts
                simulated, took = simulated + outcome.seconds, took + outcome.took
                if outcome.violation is not None:
                    failed += 1
                    tell(outcome, console)
                progress.update(task, advance=1, failed=failed)
        except BrokenExecutor:
            console.print(f"a process ended before its time; {len(plans) - tried} seeds are left")
    console.print(_in_short(total), highlight=False)
    console.print(
        f"{tried} seeds, {failed} failed;"
        f" {simulated:.0f} s simulated, {simulated / max(took, 1e-9):.0f} times real time a core"
    )
    return failed == 0 and tried == len(plans)


def run_one(plan: Plan, console: Console, *, verbose: bool) -> bool:
    outcome = simulate(plan)
    if verbose:
        for line in outcome.transcript:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if outcome.violation is not None:
        tell(outcome, console)
    else:
        console.print("no promise was broken")
    console.print(_in_short(outcome.counts), highlight=False)
    console.print(
        f"seed {plan.seed}: {outcome.seconds:.0f} s simulated in {outcome.took:.1f} s of one core,"
        f" {outcome.seconds / outcome.took:.0f} times real time; digest {outcome.digest}",
        highlight=False,
    )
    return outcome.violation is None


def tell(outcome: Outcome, console: Console) -> None:
    """What was broken, what happened before, and how to see it again."""
    for line in (
        *outcome.recent,
        f"seed {outcome.plan.seed} FAILED: {outcome.violation}",
        f"to see it again: {outcome.plan.command}",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _in_short(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def seeds_named(text: str) -> range:
    """Read ``A..B``: from A to B, without B; ValueError for anything else."""
    first, _, end = text.partition("..")
    seeds = range(int(first), int(end))
    if not seeds:
        raise ValueError(f"no seed lies in {text}")
    return seeds
