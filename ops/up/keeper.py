"""Keep children alive: start again what died, and end a group of them when its time has come.

``kept`` is a block in which the children run; leaving it ends them, within a deadline, then by
force. Blocks inside blocks give the order: who depends on whom ends before them.
It does not judge whether a child is ready (``ops.up.ready``).
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Protocol

import attrs
import structlog
import trio

from common.limits import RELAY_SECONDS_MAX
from ops.up import run_folder
from ops.up.backoff import Backoff
from ops.up.child import Born, Spec, give_birth, lines

UNSAID_LINES = 20  # Routine lines of a life, kept until it ends: a start of PostgreSQL has ten.

log = structlog.get_logger("tessera.up")


class Relay(Protocol):
    def __call__(self, name: str, line: bytes) -> None:
        """Show a line that the child ``name`` wrote."""


class Birth(Protocol):
    def __call__(self, spec: Spec) -> Born:
        """Start a child."""


@attrs.define
class Keeper:
    """One child, over all its lives."""

    spec: Spec
    folder: Path
    relay: Relay
    birth: Birth = give_birth
    child: Born | None = None
    refusal: str | None = None
    """The last line of a life that ended with exit code 2: the operator must mend something."""
    last_line: str = ""
    _unsaid: deque[bytes] = attrs.field(factory=lambda: deque(maxlen=UNSAID_LINES))
    _backoff: Backoff = attrs.field(factory=Backoff)
    _stopping: trio.Event = attrs.field(factory=trio.Event)
    _ended: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        """Return after ``stop`` only. Shielded: cancelling would leave a process behind."""
        try:
            with trio.CancelScope(shield=True):
                while not self._stopping.is_set():
                    born_at = trio.current_time()
                    code = await self._live()
                    if self._stopping.is_set():
                        break
                    self._say_the_unsaid()
                    self._backoff = self._backoff.died(trio.current_time() - born_at)
                    pause = self._backoff.delay_seconds
                    self.refusal = self.last_line if code == 2 else None
                    log.warning(
                        "it ended and is started again", name=self.spec.name, code=code, in_s=pause
                    )
                    with trio.move_on_after(pause):
                        await self._stopping.wait()
        finally:
            self._ended.set()

    def _say_the_unsaid(self) -> None:
        """Why it died may be in what nobody wanted to see."""
        while self._unsaid:
            self.relay(self.spec.name, self._unsaid.popleft())

    @property
    def young_deaths(self) -> int:
        """How often in a row it died soon after its birth."""
        return self._backoff.deaths

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def drain(self) -> None:
        """Have it hand over what it has, and end; it is not started again."""
        self._stopping.set()
        if self.child is not None:
            self.child.signal(signal.SIGTERM)

    def stop(self) -> None:
        self._stopping.set()
        if self.child is not None:
            self.child.signal(self.spec.stop_signal)

    async def wait_ended(self) -> None:
        await self._ended.wait()

    def kill(self) -> None:
        if self.child is not None:
            log.warning("it did not end in time and is killed", name=self.spec.name)
            self.child.kill()

    async def _live(self) -> int:
        """From birth to death; return the exit code."""
        child = self.child = self.birth(self.spec)
        pid = child.process.pid
        if not self.spec.ours:
            facts = run_folder.Running(self.spec.role, self.spec.n, pid, self.spec.port)
            run_folder.write(self.folder, facts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, child.output)
            code = await child.wait_ended()
            self.child = None
            child.kill()  # What it left behind in its group.
            run_folder.remove(self.folder, self.spec.role, self.spec.n)
            nursery.cancel_scope.deadline = trio.current_time() + RELAY_SECONDS_MAX
        return code

    async def _pass_on(self, output: trio.abc.ReceiveStream) -> None:
        async with output, aclosing(lines(output)) as said:
            async for line in said:
                if any(mark in line for mark in self.spec.routine):
                    self._unsaid.append(line)
                    continue
                self.last_line = line.decode(errors="replace") or self.last_line
                try:
                    self.relay(self.spec.name, line)
                except Exception:
                    self.kill()  # Else we would wait for its end, and nobody would ask for it.
                    raise


Deadline = Callable[[], float]
"""Says, when it is asked, until when (trio's clock) children may take to end by themselves."""


@asynccontextmanager
async def kept(
    specs: Iterable[Spec],
    folder: Path,
    relay: Relay,
    deadline: Deadline,
    birth: Birth = give_birth,
) -> AsyncIterator[Sequence[Keeper]]:
    """Keep a child for each of ``specs`` running for as long as the block lasts."""
    keepers = [Keeper(spec, folder, relay, birth) for spec in specs]
    async with trio.open_nursery() as nursery:
        for keeper in keepers:
            nursery.start_soon(keeper.run)
        try:
            yield keepers
        finally:
            with trio.CancelScope(shield=True):  # Bounded by the deadline, and then by SIGKILL.
                await end(keepers, deadline())


async def end(keepers: Sequence[Keeper], deadline: float) -> None:
    """Stop all; kill those that have not ended by ``deadline``."""
    for keeper in keepers:
        keeper.stop()
    with trio.CancelScope(deadline=deadline) as patience:
        for keeper in keepers:
            await keeper.wait_ended()
    if patience.cancelled_caught:
        for keeper in keepers:
            keeper.kill()
        for keeper in keepers:
            await keeper.wait_ended()
