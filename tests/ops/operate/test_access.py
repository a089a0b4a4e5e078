"""Where the terminal finds the API, and which token goes there."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import Misconfigured
from common.tokens import Kind, new_token
from ops.operate.access import find_access
from ops.operate.api import Access
from ops.up import run_folder

OWN, OTHER = new_token(Kind.OPERATOR).text, new_token(Kind.OPERATOR).text
URL = "http://elsewhere:8080"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Of a tessera up with two gateways."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ops-token").write_text(OWN + "\n")
    for n, port in ((1, 9001), (0, 9000)):
        run_folder.write(tmp_path / "run", run_folder.Running("gateway", n, 1, port))
    return tmp_path


def test_a_tessera_up_has_both(data: Path) -> None:
    assert find_access(None, None, None, data) == Access("http://127.0.0.1:9000", OWN)


def test_what_is_named_comes_first(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(OTHER)
    assert find_access(None, file, OWN, data).token == OTHER
    assert find_access(URL, None, OTHER, data) == Access(URL, OTHER)


def test_its_token_goes_nowhere_else(data: Path) -> None:
    with pytest.raises(Misconfigured, match="--token-file"):
        find_access(URL, None, None, data)


def test_what_is_missing_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="--data"):
        find_access(None, None, OWN, tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "gateway-0.json").write_text('{"port": 9000}')
    with pytest.raises(Misconfigured, match="tessera ops token"):
        find_access(None, None, None, tmp_path)


@pytest.mark.parametrize(
    "text",
    [b"", b"hunter2", OWN[:-1].encode(), b"\xff\xfe"],
    ids=["empty", "nonsense", "mistyped", "binary"],
)
def test_a_file_without_a_token_is_refused_and_not_quoted(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(text)
    with pytest.raises(Misconfigured) as wrong:
        find_access(URL, file, None, tmp_path)
    assert "hunter2" not in str(wrong.value)
    assert OWN[:-1] not in str(wrong.value)


def test_a_printed_access_keeps_its_token() -> None:
    assert OWN not in repr(Access(URL, OWN))
