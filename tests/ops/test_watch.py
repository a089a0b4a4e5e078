from __future__ import annotations

from rich.console import Console

from common.events import Moved, Said
from common.frames import ChunkDelta, ChunkStatic, Entity, Resync
from common.grid import AgentId, ChunkId, Tick
from ops.client import SpectatorEvent
from ops.watch import Screen, printable

ADA, HOME = AgentId("agt_1"), ChunkId("0:0")
STATIC = ChunkStatic(HOME, 1, Tick(5), 50, ["." * 50] * 50, [Entity(ADA, "agent", 3, 4, "Ada")])


def a_screen() -> Screen:
    screen = Screen(HOME, "http://nowhere")
    screen.heard(SpectatorEvent(STATIC, "1"))
    return screen


def seen(screen: Screen) -> str:
    console = Console(width=120, height=80, record=True, force_terminal=True)
    with console.capture() as captured:
        console.print(screen.draw())
    return captured.get()


def test_it_says_whom_it_waits_for() -> None:
    assert "waiting for http://nowhere" in seen(Screen(HOME, "http://nowhere"))


def test_it_shows_who_is_here_and_follows_what_happens() -> None:
    screen = a_screen()
    assert "Ad" in seen(screen)
    assert "1 here" in seen(screen)
    screen.heard(SpectatorEvent(ChunkDelta(HOME, Tick(6), Tick(5), [Moved(ADA, 4, 4)]), "2"))
    assert screen.view.replicas[HOME].entities[ADA].x == 4
    assert "tick 6" in seen(screen)


def test_what_is_said_is_shown_with_the_name_of_who_said_it() -> None:
    screen = a_screen()
    said = Said(ADA, "hello")
    screen.heard(SpectatorEvent(ChunkDelta(HOME, Tick(6), Tick(5), [said]), "2"))
    assert "Ada: hello" in seen(screen)


def test_nobody_can_command_the_terminal_by_what_they_say() -> None:
    screen = a_screen()
    said = Said(ADA, "A\x1b]0;PWNED\x07B\x1b[2J\nline")
    screen.heard(SpectatorEvent(ChunkDelta(HOME, Tick(6), Tick(5), [said]), "2"))
    assert "\x1b]0" not in seen(screen)
    assert "\x1b[2J" not in seen(screen)
    assert printable("ünïcode 中文") == "ünïcode 中文"


def test_a_resync_is_said() -> None:
    screen = a_screen()
    screen.heard(SpectatorEvent(Resync("slow"), None))
    assert "resynced: slow" in seen(screen)
