"""Children from the fork server are as those that are executed, and nothing hangs on the server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import trio

from common.limits import FORK_SECONDS_MAX
from ops.up.child import Born, Spec
from ops.up.fork_server import Birth
from ops.up.forks import Forked, Forks, _adopting, forks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody is forked"),
]

NOWHERE = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1"}


def told(*words: str, **environment: str) -> Spec:
    argv = (sys.executable, "-P", "-m", "ops", *words)
    return Spec("shell", 0, argv, {**NOWHERE, **environment}, words=words)


A_GATEWAY = told("gateway", "--port", "0")  # It waits for its servers for some seconds.


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(tmp_path_factory.mktemp("data")) as source:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TESSERA_LOG_LEVEL", "of the server's time")
            source.end()
            source.start()
        yield source


@pytest.fixture
async def source(shared: Forks) -> Forks:
    with trio.fail_after(20):
        await shared.wait_ready()
    return shared


def server_of(source: Forks) -> psutil.Process:
    assert source._server is not None
    return psutil.Process(source._server.process.pid)


async def end_of(born: Born) -> tuple[int, str]:
    with trio.fail_after(10):
        async with born.output:
            said = b"".join([piece async for piece in born.output])
        return await born.wait_ended(), said.decode()


async def kill(born: Born) -> None:
    born.kill()
    assert (await end_of(born))[0] == -signal.SIGKILL


async def test_a_forked_child_does_as_it_is_told_and_its_code_is_known(source: Forks) -> None:
    born = source.give_birth(told("--version"))
    assert isinstance(born.process, Forked)
    assert await end_of(born) == (0, "tessera 0.1.0\n")
    assert born.process.poll() == 0
    born.signal(signal.SIGTERM)  # To nobody, whoever has its pid now.
    code, said = await end_of(source.give_birth(told("shard", DATABASE_URL="")))
    assert (code, "DATABASE_URL" in said) == (2, True)


async def test_a_childs_environment_is_that_of_its_birth(
    source: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESSERA_DRAIN_SECONDS", "many\udcff")
    code, said = await end_of(source.give_birth(told("shard", REDIS_URL="")))
    assert (code, "TESSERA_DRAIN_SECONDS" in said, "REDIS_URL" in said) == (2, True, True)
    assert "TESSERA_LOG_LEVEL" not in said


async def test_a_child_is_ours_in_a_session_of_its_own_with_nothing_of_the_servers(
    source: Forks,
) -> None:
    server = server_of(source)
    born = source.give_birth(A_GATEWAY)
    process = psutil.Process(born.process.pid)
    while process.cmdline()[0] != "tessera gateway --port 0":
        await trio.sleep(0.01)
    assert process.ppid() == os.getpid()
    assert os.getsid(process.pid) == process.pid

    def opened(pid: int) -> dict[int, str]:
        folder = Path(f"/proc/{pid}/fd")
        return {int(one.name): os.readlink(one) for one in folder.iterdir()}

    child = opened(process.pid)
    assert child[0] == "/dev/null"
    assert child[1] == child[2]
    assert child[1].startswith("pipe:")
    foreign = {what for what in opened(server.pid).values() if what.startswith("socket:")}
    assert foreign
    assert not foreign & set(child.values())
    await kill(born)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_in_its_first_moment_ends_a_child_without_a_word(
    source: Forks, number: signal.Signals
) -> None:
    for _ in range(10):
        born = source.give_birth(A_GATEWAY)
        born.signal(number)
        assert await end_of(born) == (0, "")


async def test_waiting_for_a_child_can_be_given_up_and_taken_up_again(source: Forks) -> None:
    born = source.give_birth(A_GATEWAY)
    with trio.move_on_after(0.05) as patience:
        await born.wait_ended()
    assert patience.cancelled_caught
    await kill(born)


async def test_only_programs_that_are_ours_are_forked(source: Forks) -> None:
    born = source.give_birth(Spec("shell", 0, ("/bin/sh", "-c", "echo born; exit 3")))
    assert not isinstance(born.process, Forked)
    assert await end_of(born) == (3, "born\n")


async def test_children_outlive_the_server_and_the_next_one_is_born_at_once(source: Forks) -> None:
    first = source.give_birth(A_GATEWAY)
    server_of(source).kill()
    second = source.give_birth(told("--version"))
    assert not isinstance(second.process, Forked)
    assert await end_of(second) == (0, "tessera 0.1.0\n")
    assert first.process.poll() is None
    await source.wait_ready()
    third = source.give_birth(told("--version"))
    assert isinstance(third.process, Forked)
    assert await end_of(third) == (0, "tessera 0.1.0\n")
    await kill(first)


async def test_a_server_that_does_not_answer_is_replaced_and_nobody_is_born_twice(
    source: Forks,
) -> None:
    server_of(source).suspend()
    began = trio.current_time()
    born = source.give_birth(told("--version"))
    assert not isinstance(born.process, Forked)
    assert FORK_SECONDS_MAX <= trio.current_time() - began < FORK_SECONDS_MAX + 1
    assert await end_of(born) == (0, "tessera 0.1.0\n")
    await source.wait_ready()
    born = source.give_birth(told("--version"))
    assert isinstance(born.process, Forked)
    assert await end_of(born) == (0, "tessera 0.1.0\n")


async def test_before_the_server_is_ready_a_program_is_started(tmp_path: Path) -> None:
    with forks(tmp_path) as source:
        born = source.give_birth(told("--version"))
        assert not isinstance(born.process, Forked)
        assert await end_of(born) == (0, "tessera 0.1.0\n")


async def test_a_server_that_fails_to_start_is_not_waited_for(tmp_path: Path) -> None:
    with trio.fail_after(20), forks(tmp_path) as source:
        server_of(source).kill()
        await source.wait_ready()
        born = source.give_birth(told("--version"))
        assert await end_of(born) == (0, "tessera 0.1.0\n")


async def test_a_child_that_is_not_waited_for_any_more_is_not_born(source: Forks) -> None:
    assert source._server is not None
    reading, writing = os.pipe()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    birth = Birth(("--version",), dict(os.environ), signal.SIGKILL)
    with ours, _adopting():
        fds = [writing, theirs.fileno()]
        socket.send_fds(source._server.socket, [birth.encode()], fds)
        os.close(writing)
        theirs.close()
        pid = int(ours.recv(20))
    async with trio.lowlevel.FdStream(reading) as output:
        with trio.fail_after(10):
            assert [piece async for piece in output] == []
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1  # noqa: ASYNC222 - it has ended.


async def test_orphans_of_others_are_not_ours_after_a_birth(source: Forks) -> None:
    """Nobody would wait for them."""
    assert (await end_of(source.give_birth(told("--version"))))[0] == 0
    said = subprocess.run(  # noqa: ASYNC221 - the shell ends at once.
        ["/bin/sh", "-c", "sleep 5 >&2 & echo $!"],
        check=True,
        capture_output=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout
    orphan = psutil.Process(int(said))
    assert orphan.ppid() != os.getpid()
    orphan.kill()


async def test_the_server_ends_with_the_block(tmp_path: Path) -> None:
    with forks(tmp_path) as source:
        await source.wait_ready()
        server = server_of(source)
    assert not server.is_running()


A_SUPERVISOR = """
import sys, trio
from pathlib import Path
from ops.up.child import Spec
from ops.up.forks import forks
async def main():
    with forks(Path(sys.argv[1])) as source:
        await source.wait_ready()
        words = ("gateway", "--port", "0")
        born = source.give_birth(Spec("gateway", 0, (), {}, words=words))
        print(born.process.pid, source._server.process.pid, flush=True)
        await trio.sleep_forever()
trio.run(main)
"""


async def test_who_kills_the_supervisor_ends_its_children_and_the_server(tmp_path: Path) -> None:
    supervisor = subprocess.Popen(  # noqa: ASYNC220 - to start it is not to wait for it.
        [sys.executable, "-c", A_SUPERVISOR, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, **NOWHERE, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert supervisor.stdout is not None
    with supervisor.stdout as said:
        pids = [int(word) for word in (await trio.to_thread.run_sync(said.readline)).split()]
    processes = [psutil.Process(pid) for pid in pids]
    assert all(one.is_running() for one in processes)
    supervisor.kill()
    supervisor.wait()
    with trio.fail_after(5):
        while any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes):
            await trio.sleep(0.01)
