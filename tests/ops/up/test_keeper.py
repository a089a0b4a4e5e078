from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import psutil
import pytest
import trio

from ops.up import run_folder
from ops.up.child import Spec
from ops.up.keeper import Keeper, kept


@attrs.define
class Heard:
    """What children wrote."""

    lines: list[str] = attrs.field(factory=list)
    _news: trio.Event = attrs.field(factory=trio.Event)

    def relay(self, name: str, line: bytes) -> None:
        self.lines.append(f"{name}: {line.decode()}")
        self._news.set()
        self._news = trio.Event()

    async def until(self, wanted: Callable[[list[str]], bool]) -> None:
        with trio.fail_after(10):
            while not wanted(self.lines):
                await self._news.wait()


def a_shell(script: str, port: int | None = None) -> Spec:
    return Spec("shell", 0, ("/bin/sh", "-c", script), port=port)


@asynccontextmanager
async def keeping(
    spec: Spec, folder: Path, heard: Heard, patience: float = 5
) -> AsyncIterator[Keeper]:
    async with kept([spec], folder, heard.relay, lambda: trio.current_time() + patience) as keepers:
        yield keepers[0]


def said(line: str, times: int = 1) -> Callable[[list[str]], bool]:
    return lambda lines: lines.count(f"shell-0: {line}") >= times


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    heard = Heard()
    async with keeping(a_shell("echo born; exit 1"), tmp_path, heard):
        await heard.until(said("born", times=2))


async def test_what_a_child_says_on_either_stream_is_passed_on(tmp_path: Path) -> None:
    heard = Heard()
    script = "trap 'printf rest; exit' TERM; echo out; echo err >&2; while :; do sleep 0.02; done"
    async with keeping(a_shell(script), tmp_path, heard):
        await heard.until(said("err"))
    assert heard.lines == ["shell-0: out", "shell-0: err", "shell-0: rest"]


async def test_routine_lines_are_not_passed_on(tmp_path: Path) -> None:
    heard = Heard()
    spec = attrs.evolve(a_shell("echo LOG hello; echo born; exec sleep 60"), routine=(b"LOG",))
    async with keeping(spec, tmp_path, heard):
        await heard.until(said("born"))
    assert heard.lines == ["shell-0: born"]


async def test_routine_lines_are_passed_on_when_it_dies(tmp_path: Path) -> None:
    heard = Heard()
    spec = attrs.evolve(a_shell("echo LOG out of memory; exit 1"), routine=(b"LOG",))
    async with keeping(spec, tmp_path, heard):
        await heard.until(said("LOG out of memory"))


async def test_a_sigint_before_it_is_its_program_is_no_traceback(tmp_path: Path) -> None:
    heard = Heard()
    spec = attrs.evolve(a_shell("exec sleep 60"), stop_signal=signal.SIGINT)
    for milliseconds in range(0, 30, 2):  # Python is there after 5, and gone after 20.
        async with keeping(spec, tmp_path, heard) as keeper:
            while keeper.child is None:
                await trio.lowlevel.checkpoint()
            born = trio.current_time()
            while trio.current_time() < born + milliseconds / 1000:
                await trio.lowlevel.checkpoint()
    assert heard.lines == []


async def test_a_relay_that_fails_leaves_no_child_behind(tmp_path: Path) -> None:
    def fail(name: str, line: bytes) -> None:
        raise ZeroDivisionError(line.decode(), name)

    spec, deadline = a_shell("echo $$; exec sleep 60"), trio.current_time() + 5
    with pytest.raises(ExceptionGroup) as failed, trio.fail_after(10):
        async with kept([spec], tmp_path, fail, lambda: deadline):
            await trio.sleep_forever()
    (error,) = _leaves(failed.value)
    assert isinstance(error, ZeroDivisionError)
    await _gone(int(error.args[0]))


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found


async def test_what_a_child_leaves_behind_in_its_group_ends_with_it(tmp_path: Path) -> None:
    heard = Heard()
    async with keeping(a_shell("sleep 60 & echo $!; wait"), tmp_path, heard):
        await heard.until(lambda lines: len(lines) == 1)
    await _gone(int(heard.lines[0].split()[1]))


async def test_leaving_the_block_ends_the_child_as_it_likes_to_end(tmp_path: Path) -> None:
    heard = Heard()
    script = "trap 'echo bye; exit 0' INT; echo born; while :; do sleep 0.02; done"
    spec = attrs.evolve(a_shell(script), stop_signal=signal.SIGINT)
    async with keeping(spec, tmp_path, heard) as keeper:
        await heard.until(said("born"))
        assert keeper.child is not None
        pid = keeper.child.process.pid
    assert heard.lines[-1] == "shell-0: bye"
    assert not psutil.pid_exists(pid)


async def test_a_child_that_will_not_end_is_killed_with_its_own_children(tmp_path: Path) -> None:
    heard = Heard()
    script = "trap '' TERM; sleep 60 & echo $!; wait; wait; sleep 60"
    async with keeping(a_shell(script), tmp_path, heard, patience=0.1):
        await heard.until(lambda lines: len(lines) == 1)
    await _gone(int(heard.lines[0].split()[1]))


async def test_cancelling_ends_the_child_too(tmp_path: Path) -> None:
    heard = Heard()
    pid = 0
    with trio.CancelScope() as scope:
        async with keeping(a_shell("echo born; exec sleep 60"), tmp_path, heard) as keeper:
            await heard.until(said("born"))
            assert keeper.child is not None
            pid = keeper.child.process.pid
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert not psutil.pid_exists(pid)


async def test_a_child_that_refuses_to_start_says_why(tmp_path: Path) -> None:
    heard = Heard()
    async with keeping(a_shell("echo 'set REDIS_URL' >&2; exit 2"), tmp_path, heard) as keeper:
        await heard.until(said("set REDIS_URL", times=2))
        assert keeper.refusal == "set REDIS_URL"


async def test_a_child_is_listed_while_it_lives(tmp_path: Path) -> None:
    heard = Heard()
    async with keeping(a_shell("echo born; exec sleep 60", port=17), tmp_path, heard) as keeper:
        await heard.until(said("born"))
        listed = run_folder.read(tmp_path, "shell", 0)
        assert keeper.child is not None
        assert listed == run_folder.Running("shell", 0, keeper.child.process.pid, 17)
    assert run_folder.read(tmp_path, "shell", 0) is None


async def test_a_child_is_in_a_session_of_its_own(tmp_path: Path) -> None:
    heard = Heard()
    async with keeping(a_shell("echo born; exec sleep 60"), tmp_path, heard) as keeper:
        await heard.until(said("born"))
        assert keeper.child is not None
        pid = keeper.child.process.pid
        assert os.getsid(pid) == pid


@pytest.mark.parametrize("length", [70_000, 200_000])
async def test_a_line_without_an_end_is_passed_on_in_pieces(tmp_path: Path, length: int) -> None:
    heard = Heard()
    script = f"head -c {length} /dev/zero | tr '\\0' x; echo; echo done; exec sleep 60"
    async with keeping(a_shell(script), tmp_path, heard):
        await heard.until(said("done"))
    assert sum(len(line.removeprefix("shell-0: ")) for line in heard.lines[:-1]) == length


async def _gone(pid: int) -> None:
    with trio.fail_after(5):
        while not _is_dead(pid):
            await trio.sleep(0.01)


def _is_dead(pid: int) -> bool:
    """Whether it is gone, or waits for nobody to ask after it."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
