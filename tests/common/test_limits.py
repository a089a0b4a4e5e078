"""Bounds that have to fit into each other."""

from __future__ import annotations

import ast
from pathlib import Path

from common import limits


def test_each_stage_of_an_end_has_what_its_processes_allow_themselves() -> None:
    gateways = limits.GATEWAYS_ENDED_SECONDS - limits.BOTS_ENDED_SECONDS
    shards = limits.SHARDS_ENDED_SECONDS - limits.GATEWAYS_ENDED_SECONDS
    assert gateways >= limits.GRACE_SECONDS + limits.EXIT_SECONDS
    assert max(limits.CLOSE_SECONDS_MAX, limits.GOODBYE_SECONDS_MAX) < limits.GRACE_SECONDS
    assert shards >= limits.SHUTDOWN_SECONDS_MAX > limits.FINISH_SECONDS_MAX
    # Else a gateway's process would be cancelled before its own patience is over.
    assert limits.SHUTDOWN_SECONDS_MAX >= limits.GRACE_SECONDS + limits.EXIT_SECONDS


def test_the_whole_end_is_within_what_is_promised() -> None:
    assert limits.SHARDS_ENDED_SECONDS < limits.SERVERS_ENDED_SECONDS < limits.STOP_SECONDS_MAX


def test_what_any_caller_gives_up_is_late_by_then() -> None:
    """Else a server that hangs would be seen by nobody, see tests/common/adapters/test_given_up."""
    renewal = limits.LEASE_MS / 1000 / limits.LEASE_RENEWALS
    assert min(renewal, limits.REDIS_SECONDS_MAX) > limits.REDIS_UNANSWERED_SECONDS
    row_of_audit_log = limits.POSTGRES_SECONDS_MAX / limits.RETRIES_MAX
    readiness = limits.REDIS_SECONDS_MAX
    assert min(row_of_audit_log, readiness) > limits.POSTGRES_UNANSWERED_SECONDS


def test_no_bound_is_set_twice() -> None:
    """The second would silently take the place of the first."""
    tree = ast.parse(Path(limits.__file__).read_text())
    names = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert len(names) > 100
    assert {name for name in names if names.count(name) > 1} == set()
