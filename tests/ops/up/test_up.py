"""``tessera up`` with real processes: the promises of the two commands."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx
import psutil
import pytest

from ops.chaos.cluster import free_ports
from ops.up.run_folder import Running

pytestmark = pytest.mark.cluster

TESSERA = (sys.executable, "-P", "-m", "ops")
START_SECONDS_MAX = 60.0


@attrs.frozen
class World:
    """A ``tessera up`` that said that it is up."""

    process: subprocess.Popen[str]
    data: Path
    port: int
    said: list[str]

    def running(self, name: str) -> Running:
        return Running(**json.loads((self.data / "run" / f"{name}.json").read_text()))

    def family(self) -> list[psutil.Process]:
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        rest, _ = self.process.communicate(timeout=30)
        self.said.extend(rest.splitlines())
        return self.process.returncode


@contextmanager
def a_world(data: Path, *words: str) -> Iterator[World]:
    port = free_ports(2)
    process = subprocess.Popen(
        [*TESSERA, "up", "--port", str(port), "--data", str(data), "--bots", "0", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(),
    )
    world = World(process, data, port, [])
    try:
        assert process.stdout is not None
        for line in process.stdout:
            world.said.append(line.rstrip())
            if "Tessera is up" in line:
                break
        else:
            raise AssertionError("\n".join(world.said))
        yield world
    finally:
        if process.poll() is None:
            world.end(signal.SIGTERM)


def refused(*words: str, **settings: str) -> str:
    """Run ``tessera``, which must refuse with exit code 2; return its one line."""
    answer = subprocess.run(
        [*TESSERA, *words], capture_output=True, text=True, timeout=60, env=_environment(**settings)
    )
    assert answer.returncode == 2, answer
    assert "Traceback" not in answer.stdout  # Progress may be there.
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
    return answer.stderr.strip()


def _environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    return {**kept, **settings}


def _until(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _is_ready(world: World, name: str, other_than: int) -> bool:
    try:
        running = world.running(name)
        port = running.metrics_port
        ready = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    except (OSError, httpx.TransportError):
        return False
    return ready and running.pid != other_than


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not tmp_path: each run of pytest closes the folder above all of those to other users.

    Under root PostgreSQL is another user, and would lose its data to a pytest beside this one.
    """
    with tempfile.TemporaryDirectory(prefix="tessera-") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="tessera-") as path:
        with a_world(Path(path, "data"), "--gateways", "2") as world:
            yield world


def test_each_gateway_listens_on_the_next_port(world: World) -> None:
    for n in (0, 1):
        assert world.running(f"gateway-{n}").port == world.port + n
        answer = httpx.get(f"http://127.0.0.1:{world.port + n}/healthz", trust_env=False)
        assert answer.status_code == 200


def test_every_process_is_listed(world: World) -> None:
    names = {path.stem for path in (world.data / "run").glob("*.json")}

    assert names == {"gateway-0", "gateway-1", "shard-0", "shard-1", "postgres-0", "redis-0"}
    for name in names:
        role, n = name.split("-")
        listed = world.running(name)
        assert (listed.role, listed.n) == (role, int(n))
        assert psutil.pid_exists(listed.pid)


def test_no_password_is_in_a_command_line(world: World) -> None:
    password = (world.data / "redis" / "password").read_text()

    assert not any(password in word for child in world.family() for word in child.cmdline())


def test_tls_is_a_gateways_own(tmp_path: Path) -> None:
    line = refused("up", "--data", str(tmp_path), TESSERA_TLS_CERT="cert.pem")
    assert "TESSERA_TLS_CERT" in line


def test_a_second_one_on_the_same_data_is_refused(world: World) -> None:
    line = refused("up", "--data", str(world.data), "--port", str(free_ports(1)))

    assert str(world.data) in line
    assert "--data" in line


@pytest.mark.parametrize("name", ["shard-1", "gateway-1"])
def test_a_killed_process_is_started_again(world: World, name: str) -> None:
    killed = world.running(name).pid

    os.kill(killed, signal.SIGKILL)

    _until(lambda: _is_ready(world, name, other_than=killed), seconds=15)


@pytest.mark.parametrize("name", ["redis-0", "postgres-0"])
def test_a_killed_server_is_started_again_where_it_was(world: World, name: str) -> None:
    before = world.running(name)

    os.kill(before.pid, signal.SIGKILL)

    def is_back() -> bool:
        try:
            after = world.running(name)
            with socket.create_connection(("127.0.0.1", before.port), 1):
                return after.pid != before.pid and after.port == before.port
        except OSError:
            return False

    _until(is_back, seconds=15)


def test_a_signal_ends_everything_within_five_seconds(folder: Path) -> None:
    with a_world(folder / "data", "--log-format", "json", "--shards", "1") as world:
        family = world.family()
        assert len(family) >= 4
        began = time.monotonic()

        world.process.send_signal(signal.SIGINT)
        assert world.end(signal.SIGINT) == 0  # An impatient second Ctrl-C changes nothing.

        assert time.monotonic() - began < 5
        assert not [child for child in family if child.is_running()]
        kept = [path.name for path in (world.data / "run").iterdir()]
        assert kept == ["ops-token"], "which stays good"
        assert all(isinstance(json.loads(line), dict) for line in world.said)


def test_nothing_survives_a_supervisor_that_is_killed_but_the_world(folder: Path) -> None:
    with a_world(folder / "data", "--shards", "1") as world:
        family = world.family()
        agent = _sign_up(world)

        world.end(signal.SIGKILL)

        _until(lambda: not [child for child in family if _is_alive(child)], seconds=5)
    # The next one is not kept out by what is left, and finds what was there.
    with a_world(folder / "data", "--shards", "1") as world:
        answer = httpx.get(f"{_url(world)}/v1/agents/{agent}", trust_env=False)
        assert answer.json()["name"] == "Survivor"


def _sign_up(world: World, name: str = "Survivor") -> str:
    answer = httpx.post(f"{_url(world)}/v1/signup", json={"name": name}, trust_env=False)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["agent_id"])


def _url(world: World) -> str:
    return f"http://127.0.0.1:{world.port}"


def _is_alive(child: psutil.Process) -> bool:
    try:
        return bool(child.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


MOMENTS = (0.0, 0.15, 0.4, 1.2)  # After the first line of ours, each with some chance added.


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_while_it_starts_for_the_first_time_ends_it_quietly(
    folder: Path, moment: float
) -> None:
    _end_while_starting(folder / "data", moment + random.uniform(0, 0.2))


def test_a_signal_while_it_starts_again_ends_it_quietly(folder: Path) -> None:
    with a_world(folder / "data", "--shards", "1"):
        pass
    for moment in MOMENTS:
        _end_while_starting(folder / "data", moment + random.uniform(0, 0.2))


def _end_while_starting(data: Path, moment: float) -> None:
    """Ctrl-C: a SIGINT to everybody in the terminal's group."""
    with subprocess.Popen(
        [*TESSERA, "up", "--port", str(free_ports(1)), "--data", str(data), "--bots", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(),
        start_new_session=True,
    ) as process:
        _until(lambda: _heeds_signals(process.pid))
        time.sleep(moment)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        took = time.monotonic() - began
    assert process.returncode == 0, (moment, said)
    assert took < 5, (moment, said)
    assert "Traceback" not in said, (moment, said)
    assert "tessera: " not in said, (moment, said)
    assert _working_on(data) == [], moment


def _heeds_signals(pid: int) -> bool:
    """Whether Python has come as far as our first line; before, nobody can say what happens."""
    caught = Path(f"/proc/{pid}/status").read_text().split("SigCgt:")[1].split()[0]
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def _working_on(data: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if any(str(data) in word for word in words) and _is_alive(process):
                found.append(" ".join(words))
        except psutil.Error:
            continue
    return found


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        line = refused("up", "--data", str(tmp_path / "new" / "data"), "--port", str(port))

    assert line == f"tessera: port {port} is in use; choose another with --port"
    assert list(tmp_path.iterdir()) == []


def test_all_that_is_wrong_with_the_settings_is_said_at_once(tmp_path: Path) -> None:
    wrong = {
        "DATABASE_URL": "http://db/world",
        "REDIS_URL": "redis://:hunter2@r:port/0",
        "TESSERA_AGENTS_MAX": "many",
        "TESSERA_AGENT_MAX": "1",
        "TESSERA_TRUSTED_PROXIES": "all",
    }

    line = refused("up", "--data", str(tmp_path / "data"), **wrong)

    assert all(name in line for name in wrong)
    assert "hunter2" not in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["gateway", "shard", "migrate"])
def test_a_process_by_itself_asks_for_its_servers(command: str) -> None:
    assert "DATABASE_URL" in refused(command)


@pytest.mark.parametrize("format", ["text", "json"])
def test_it_goes_on_and_ends_well_when_nobody_reads_what_it_says(folder: Path, format: str) -> None:
    with a_world(folder / "data", "--shards", "1", "--log-format", format) as world:
        family = world.family()
        assert world.process.stdout is not None
        world.process.stdout.close()
        _sign_up(world)  # Which is a line.
        _sign_up(world, "Another")
        world.process.send_signal(signal.SIGTERM)
        assert world.process.wait(10) == 0
        assert not [child for child in family if _is_alive(child)]


def test_a_gateway_that_waits_for_its_database_ends_when_it_is_told_to() -> None:
    port, away = free_ports(1), free_ports(1)
    with subprocess.Popen(
        [*TESSERA, "gateway", "--port", "0", "--metrics-port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(
            DATABASE_URL=f"postgresql://me:swordfish@127.0.0.1:{away}/world",
            REDIS_URL=f"redis://127.0.0.1:{away}/0",
        ),
    ) as process:
        _until(lambda: _status(f"http://127.0.0.1:{port}/readyz") == 503)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert time.monotonic() - began < 2
    assert len(said.splitlines()) == 1, said
    assert "PostgreSQL" in said
    assert "swordfish" not in said


def _status(url: str) -> int | None:
    try:
        return httpx.get(url, trust_env=False).status_code
    except httpx.TransportError:
        return None


def test_a_database_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    port = free_ports(2)
    line = refused(
        "up",
        *("--data", str(tmp_path), "--port", str(free_ports(1))),
        DATABASE_URL=f"postgresql://me:swordfish@127.0.0.1:{port}/world",
        REDIS_URL=f"redis://:swordfish@127.0.0.1:{port}/0",
    )

    assert "DATABASE_URL" in line or "REDIS_URL" in line
    assert "swordfish" not in line


def test_a_data_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    line = refused("up", "--data", str(tmp_path / "file"), "--port", str(free_ports(1)))

    assert "--data" in line
