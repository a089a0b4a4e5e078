"""skill.md's example, run as its reader would: the page, a file, ``python agent.py BASE name``."""

from __future__ import annotations

import ast
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.cluster import Cluster

pytestmark = pytest.mark.cluster
SECONDS_MAX = 60


def run(script: Path, url: str, name: str) -> list[dict[str, Any]]:
    """What it printed: the end of each of its commands."""
    answer = subprocess.run(
        [sys.executable, script.name, url, name],
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert answer.returncode == 0, answer.stderr
    return [ast.literal_eval(line) for line in answer.stdout.splitlines()]


def test_its_example_runs_and_runs_again_as_the_same_agent(
    cluster: Cluster, name: str, tmp_path: Path
) -> None:
    page = httpx.get(f"{cluster.url()}/skill.md", trust_env=False).text
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    script = tmp_path / "agent.py"
    script.write_text(code)

    first = run(script, cluster.url(), name)
    key = tmp_path / f"{name}.json"
    kept = key.read_text()
    again = run(script, cluster.url(), name)

    for said, walked in (first, again):
        assert (said["type"], said["status"]) == ("result", "completed")
        assert walked["id"] == "c-2"  # Walked, or told that there is a wall.
    assert key.read_text() == kept
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
