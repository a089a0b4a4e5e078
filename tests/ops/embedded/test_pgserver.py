"""PostgreSQL's user is let in no further than it has to be."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ops.embedded.pgserver import Guest, let_in

STRANGER = "nobody"  # A user that every machine has, and that owns nothing.


@pytest.fixture
def home() -> Iterator[Path]:
    with TemporaryDirectory(prefix="tessera-") as name:
        yield Path(name)


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):o}"


def a_folder(path: Path, mode: int) -> Path:
    path.mkdir()
    path.chmod(mode)
    return path


def test_who_is_let_through_can_list_nothing(home: Path) -> None:
    closed = a_folder(home / "closed", 0o700)
    data = a_folder(closed / "data", 0o700)
    let_in(STRANGER, data, a_folder(home / "wheel", 0o755))
    assert (mode(closed), mode(data)) == ("701", "701")


def test_what_is_open_enough_stays_as_it_is(home: Path) -> None:
    home.chmod(0o711)
    wheel, data = a_folder(home / "wheel", 0o755), a_folder(home / "data", 0o751)
    changed = home.stat().st_ctime_ns, data.stat().st_ctime_ns
    let_in(STRANGER, data, wheel)
    assert (home.stat().st_ctime_ns, data.stat().st_ctime_ns) == changed


def test_who_is_in_its_group_is_let_in_with_the_group_alone(home: Path) -> None:
    shared = a_folder(home / "shared", 0o700)
    Guest("somebody", 2**31, frozenset({shared.stat().st_gid})).permit(shared, stat.S_IXOTH)
    assert mode(shared) == "710"


def test_the_wheel_can_be_read_and_its_programs_run(home: Path) -> None:
    wheel = a_folder(home / "wheel", 0o700)
    program, library = wheel / "postgres", wheel / "library"
    for path, before in ((program, 0o700), (library, 0o600)):
        path.touch()
        path.chmod(before)
    (wheel / "link").symlink_to(home / "elsewhere")
    let_in(STRANGER, a_folder(home / "data", 0o700), wheel)
    assert (mode(wheel), mode(program), mode(library)) == ("705", "705", "604")
