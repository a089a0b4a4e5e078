from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_everything_that_the_project_asks_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    asked = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for group in groups for line in group}

    locked = {_normal(name) for name in re.findall(r"^([\w.-]+)==", LOCK, re.MULTILINE)}

    assert {_normal(name) for name in asked} - locked == set(), "run make lock"


def test_the_lock_names_no_index_and_no_path() -> None:
    assert not re.search(r"://|^\s*(-i|-f|--index|--extra-index|--find-links)|@ ", LOCK, re.M)


def test_every_locked_package_has_a_hash() -> None:
    packages = re.findall(r"^[\w.-]+==.*\n(\s+--hash=)?", LOCK, re.MULTILINE)

    assert len(packages) > 50
    assert all(packages)
