"""What a person sees of the first ``make up``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ops import install as module
from ops.install import causes, install

FAKE = """#!{python}
import sys
print("Collecting ada==1")
print("  Downloading ada-1.tar.gz")
if "--editable" in sys.argv or not {fails}:
    print("Installing collected packages: ada, bob")
else:
    print("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", file=sys.stderr)
    print("    ada==1 expected sha256 1", file=sys.stderr)
    sys.exit(1)
"""


def a_python(folder: Path, *, fails: bool) -> str:
    """Something to be called like Python with ``-m pip``."""
    program = folder / "python"
    program.write_text(FAKE.format(python=sys.executable, fails=fails))
    program.chmod(0o700)
    return str(program)


def a_lock(folder: Path) -> Path:
    lock = folder / "requirements.lock"
    lock.write_text("# made by make lock\nada==1 \\\n    --hash=sha256:1\nbob==2 ; x\n")
    return lock


def test_a_few_lines_say_how_far_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAY_SECONDS", 0.0)

    assert install(a_python(tmp_path, fails=False), a_lock(tmp_path), tmp_path / "log") == 0

    said = capfd.readouterr()
    assert said.out.splitlines()[:2] == ["   1 of 2 packages fetched", "   1 of 2 packages fetched"]
    assert said.out.splitlines()[2] == "   installing 1 packages"
    assert said.err == ""


def test_what_went_wrong_is_said_and_where_the_rest_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"

    assert install(a_python(tmp_path, fails=True), a_lock(tmp_path), log) == 2

    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES",
        "    ada==1 expected sha256 1",
        f"Not everything is installed; all that pip said is in {log}",
    ]
    assert "Downloading ada" in log.read_text()


def test_without_an_error_the_last_words_are_said() -> None:
    said = [f"line {number}" for number in range(100)]
    assert causes(said)[-1] == "line 99"
    assert len(causes(said)) < 20


def test_it_needs_nothing_but_the_standard_library() -> None:
    source = Path(module.__file__).read_text()
    names = {line.split()[1].split(".")[0] for line in source.splitlines() if _imports(line)}
    assert names <= sys.stdlib_module_names


def _imports(line: str) -> bool:
    return line.startswith(("import ", "from "))
