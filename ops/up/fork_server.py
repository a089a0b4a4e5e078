"""The program that has imported what gateways, shards and bots need, and becomes one when told.

Run as ``python -P -m ops.up.fork_server SUPERVISOR DATA`` (DATA is for whoever reads ``ps``), with
one end of a socketpair as standard input. The other end is ``ops.up.forks``'; it says READY there
once, and then takes ``Birth`` after ``Birth``. It ends with the supervisor, and by itself never.

A child is the supervisor's own, not the server's: it is forked by a process in between that ends at
once, so that the kernel gives it to the supervisor, who adopts at that moment. What happens to this
server afterwards concerns nobody; see ``ops/decisions/forkserver.md``.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence

import attrs
from setproctitle import setproctitle

from ops.up.tether import PR_SET_PDEATHSIG, prctl

READY = b"ready"
GO = b"go"
MESSAGE_BYTES_MAX = 1 << 18  # More than a socket takes at once by default.

_SERVING = ("ops.cli", "ops.process", "gateway.main", "shard.main", "ops.bots")
_ADOPTION_SECONDS_MAX = 5.0


@attrs.frozen
class Birth:
    """What comes with two descriptors: where the child's output goes, and its line.

    On its line the child says its pid, and waits to hear GO: who is not heard of is not born.
    """

    words: Sequence[str]
    """What ``tessera`` is told."""
    environment: Mapping[str, str]
    """All of it."""
    death_signal: int

    def encode(self) -> bytes:
        return json.dumps(attrs.asdict(self)).encode()

    @classmethod
    def decode(cls, message: bytes) -> Birth:
        return cls(**json.loads(message))


def main() -> None:
    supervisor, data = int(sys.argv[1]), sys.argv[2]
    # Here already: it looks for its room behind the environment, which a child changes. It begins
    # without spaces: that is the kernel's short name, and Python 3.12 counts threads by fields in
    # the line where it stands.
    setproctitle(f"tessera-fork-server for {data}")
    # A child's, from its first moment on until it can end quietly (ops.early).
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    for module in _SERVING:
        importlib.import_module(module)
    gc.freeze()  # Else each child's first collection would write to, and so copy, all of it.
    birth = _serve(supervisor)
    if birth is not None:
        _become(birth)


def _serve(supervisor: int) -> Birth | None:
    """Return in each child what it is to be; in the server None, when nobody asks any more."""
    with socket.socket(fileno=os.dup(0)) as requests:
        requests.send(READY)
        while True:
            message, descriptors, _, _ = socket.recv_fds(requests, MESSAGE_BYTES_MAX, 2)
            if not message:
                return None
            output, line = descriptors
            between = os.fork()
            if between == 0:
                if os.fork() != 0:
                    os._exit(0)
                birth = Birth.decode(message)
                _be_born(supervisor, birth, output, line)
                return birth
            os.close(output)
            os.close(line)
            os.waitpid(between, 0)


def _be_born(supervisor: int, birth: Birth, output: int, line: int) -> None:
    """Become the supervisor's child, and end where it does not want us any more."""
    os.setsid()
    deadline = time.monotonic() + _ADOPTION_SECONDS_MAX
    while os.getppid() != supervisor and time.monotonic() < deadline:
        time.sleep(0.0005)
    prctl(PR_SET_PDEATHSIG, birth.death_signal)
    if os.getppid() != supervisor:
        os._exit(1)
    with socket.socket(fileno=line) as said:
        said.send(str(os.getpid()).encode())
        if said.recv(len(GO)) != GO:
            os._exit(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor, of in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, of)
    os.close(nothing)
    os.close(output)


def _become(birth: Birth) -> None:
    os.environ.clear()
    os.environ.update(birth.environment)
    setproctitle(" ".join(("tessera", *birth.words)))
    sys.argv[:] = ["tessera", *birth.words]
    from ops.__main__ import main

    main()


if __name__ == "__main__":
    main()
