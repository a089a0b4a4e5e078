from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from common.errors import InDoubt, Misconfigured
from common.tokens import Kind, new_token
from ops.command import run, settings_needing, unique_name


def failing_with(*errors: BaseException) -> Callable[[], Awaitable[None]]:
    async def fail(error: BaseException) -> None:
        raise error

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            for error in errors:
                nursery.start_soon(fail, error)

    return work


# Not async: run() brings its own trio.
def ends_with(*errors: Exception) -> object:
    with pytest.raises(SystemExit) as end:
        run(lambda: failing_with(*errors))
    return end.value.code


def test_what_the_operator_can_mend_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(Misconfigured("set\n  REDIS_URL")) == 2
    assert capsys.readouterr().err == "tessera: set REDIS_URL\n"


def test_other_trouble_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(InDoubt("gone")) == 1
    assert capsys.readouterr().err == "tessera: gone\n"


def test_what_can_be_mended_is_said_before_what_follows_from_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ends_with(InDoubt("gone"), Misconfigured("set REDIS_URL")) == 2
    assert capsys.readouterr().err == "tessera: set REDIS_URL\n"


def test_trouble_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    token = new_token(Kind.API_KEY)
    ends_with(Misconfigured(f"redis://:swordfish@r/0 and {token.text}"))
    said = capsys.readouterr().err
    assert "swordfish" not in said
    assert token.secret not in said


def test_a_bug_is_a_traceback_even_beside_trouble() -> None:
    with pytest.raises(ExceptionGroup):
        run(lambda: failing_with(Misconfigured("set it"), ZeroDivisionError()))


def test_a_ctrl_c_is_one_whatever_else_it_broke() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(lambda: failing_with(ZeroDivisionError(), KeyboardInterrupt()))


def test_everything_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)

    with pytest.raises(Misconfigured, match="DATABASE_URL and REDIS_URL"):
        settings_needing("DATABASE_URL", "REDIS_URL")


def test_settings_may_be_in_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://:swordfish@r/0\n")
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("REDIS_URL_FILE", str(tmp_path / "url"))

    assert settings_needing("REDIS_URL").redis_url == "redis://:swordfish@r/0"


def test_no_two_lives_have_the_same_name() -> None:
    assert unique_name("shard") != unique_name("shard")


def test_reading_the_words_loads_nothing_heavy() -> None:
    script = "import sys, ops.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"trio", "asyncpg", "redis", "httpx", "rich", "quart"} & set(loaded)


def test_at_a_commands_end_nobody_looks_for_garbage_any_more() -> None:
    """Python would, several times: it took most of the time that a process needs to end."""

    async def nothing() -> None:
        await trio.lowlevel.checkpoint()

    gc.unfreeze()
    try:
        run(lambda: nothing)
        assert gc.get_freeze_count() > 1_000
    finally:
        gc.unfreeze()
