"""What a child does with a signal that comes before it is anything."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import trio

from ops.up.child import Spec, give_birth

# As Python's first moments, but longer: a SIGINT that gets through is a traceback.
SLOW_TO_BEGIN = """
import sys, time
time.sleep(0.5)
sys.argv = ["tessera", "shard"]
from ops.early import end_quietly
end_quietly()
time.sleep(20)
"""
ROOT = str(Path(__file__).parents[3])


async def ended_by_an_early_interrupt(spec: Spec) -> tuple[int, bytes]:
    with trio.fail_after(15):
        born = give_birth(spec)
        async with born.output:
            await trio.sleep(0.25)
            born.signal(signal.SIGINT)
            said = b"".join([chunk async for chunk in born.output])
        return await born.wait_ended(), said


async def test_a_process_of_ours_is_interrupted_only_once_it_can_end_quietly() -> None:
    argv = (sys.executable, "-c", SLOW_TO_BEGIN)
    spec = Spec("shard", 0, argv, {"PYTHONPATH": ROOT}, stop_signal=signal.SIGINT, ours=True)
    assert await ended_by_an_early_interrupt(spec) == (0, b"")


async def test_another_program_is_interrupted_at_once() -> None:
    """It does not know that it would have to let the signal through."""
    code, _ = await ended_by_an_early_interrupt(Spec("server", 0, ("/bin/sleep", "10")))
    assert code == -signal.SIGINT
