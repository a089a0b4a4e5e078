"""What SIGINT and SIGTERM do: work that has an end of its own tidies up, and has failed; a shard
that is told to hand over what it has is cut off when that takes too long, and says so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from common.errors import InDoubt
from ops.command import run
from ops.process import cut_short_by_signals, until_told_how

PYTHON = (sys.executable, "-P", "-m")
CHAOS = (*PYTHON, "ops", "chaos", "--minutes", "5")
BENCH = (*PYTHON, "ops.bench.world", "idling")
SEEDS = (*PYTHON, "ops", "simulate", "--seeds", "0..9", "--minutes", "1000")
BEGIN_SECONDS_MAX, END_SECONDS_MAX = 60.0, 20.0


def test_a_process_that_serves_does_not_import_what_only_clients_need() -> None:
    script = "import sys, ops.process, gateway.main, shard.main; print('httpx' in sys.modules)"
    answer = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True)
    assert answer.stdout == "False\n", answer.stderr


# Not async: run() brings its own trio.
def ended_with(work: Callable[[], Awaitable[None]]) -> object:
    with pytest.raises(SystemExit) as end:
        run(lambda: partial(cut_short_by_signals, work))
    return end.value.code


def test_work_that_ends_by_itself_is_not_disturbed() -> None:
    done: list[str] = []

    async def work() -> None:
        await trio.lowlevel.checkpoint()
        done.append("work")

    run(lambda: partial(cut_short_by_signals, work))

    assert done == ["work"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_and_what_was_begun_is_tidied_up(
    number: signal.Signals, code: int
) -> None:
    tidied: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                os.kill(os.getpid(), number)  # Somebody is impatient.
                await trio.testing.wait_all_tasks_blocked()
            tidied.append("all")

    assert ended_with(work) == code
    assert tidied == ["all"]


def test_what_was_cut_short_does_not_complain_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise InDoubt("the server is going") from None

    assert ended_with(work) == 143
    assert capsys.readouterr().err == ""


def test_trouble_without_a_signal_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        raise InDoubt("gone")

    assert ended_with(work) == 1
    assert capsys.readouterr().err == "tessera: gone\n"


async def warnings_of(serve: Callable[[trio.Event, trio.Event], Awaitable[None]]) -> list[str]:
    """What a shard that does ``serve`` says of its end; it has 0.1 s to hand over what it has."""
    with trio.fail_after(10), capture_logs() as lines:
        async with until_told_how(0.1) as (stop, drain):
            await serve(stop, drain)
    return [line["event"] for line in lines if line["log_level"] == "warning"]


async def test_a_drain_that_takes_too_long_is_cut_off_and_says_so() -> None:
    async def serve(stop: trio.Event, drain: trio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await drain.wait()
        await trio.sleep_forever()

    (said,) = await warnings_of(serve)
    assert said.startswith("cut off before all was handed over")


async def test_a_drain_that_ends_in_time_has_nothing_to_say() -> None:
    async def serve(stop: trio.Event, drain: trio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await drain.wait()

    assert await warnings_of(serve) == []


@pytest.mark.parametrize("numbers", [(signal.SIGINT,), (signal.SIGTERM, signal.SIGINT)])
async def test_who_is_told_to_stop_and_is_cut_off_says_nothing(
    numbers: Sequence[signal.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wished that has nothing to mend."""
    monkeypatch.setattr("ops.process.SHUTDOWN_SECONDS_MAX", 0.0)

    async def serve(stop: trio.Event, drain: trio.Event) -> None:
        for number in numbers:
            os.kill(os.getpid(), number)
        await trio.sleep_forever()

    assert await warnings_of(serve) == []


@pytest.mark.cluster
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("argv", "children"), [(CHAOS, 4), (BENCH, 4)], ids=["chaos", "bench"])
def test_it_leaves_no_process_and_no_folder(
    data: Path, argv: tuple[str, ...], children: int, number: signal.Signals
) -> None:
    place = data.parent
    process = subprocess.Popen(
        argv, env={**os.environ, "TMPDIR": str(place)}, stdout=subprocess.DEVNULL
    )
    try:
        family = _wait_children(process, children)
        assert list(place.iterdir())
        process.send_signal(number)
        assert process.wait(END_SECONDS_MAX) == 128 + number
    finally:
        process.kill()
    assert psutil.wait_procs(family, timeout=5)[1] == []
    assert list(place.iterdir()) == []


@pytest.mark.slow
def test_the_workers_of_many_seeds_end_with_who_started_them() -> None:
    process = subprocess.Popen(SEEDS, stdout=subprocess.DEVNULL)
    try:
        family = _wait_children(process, 1)
        process.terminate()
        assert process.wait(END_SECONDS_MAX) == 143
    finally:
        process.kill()
    assert psutil.wait_procs(family, timeout=5)[1] == []


def _wait_children(process: subprocess.Popen[bytes], count: int) -> list[psutil.Process]:
    deadline = time.monotonic() + BEGIN_SECONDS_MAX
    while time.monotonic() < deadline:
        assert process.poll() is None, f"it ended with {process.returncode}"
        family: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
        if len(family) > count:
            return family
        time.sleep(0.05)
    raise AssertionError(f"no {count} children after {BEGIN_SECONDS_MAX} s")
