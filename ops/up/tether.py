"""Become another program that dies when the supervisor dies, however that comes about.

A script of its own, run by path as ``python -I -S tether.py PID SIGNAL USER WHEN PROGRAM ...``: it
asks the kernel for SIGNAL at the death of its parent, process PID, and then is PROGRAM, with the
same pid; a SIGINT that was blocked waits until then (WHEN is "now"), or until that program lets it
through ("later"). It stays a separate step because the request has to come after the change of
user (which clears it), and outside the supervisor, where other threads run. USER is a name or "-".

Only Linux has this request. Elsewhere children outlive a supervisor that is killed with SIGKILL.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(words: list[str]) -> None:
    supervisor, death_signal, user, interrupts, *argv = words
    if user != "-":
        _become(user)
    if sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != int(supervisor):
            sys.exit("the supervisor died while this was starting")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # What it is after this, but without Python.
    if interrupts == "now":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.execv(argv[0], argv)  # noqa: S606 - the supervisor's own words, and no shell.


def prctl(option: int, value: int) -> None:
    """Ask Linux for something that concerns this process (prctl(2))."""
    ctypes.CDLL(None, use_errno=True).prctl(option, value)


def _become(user: str) -> None:
    entry = pwd.getpwnam(user)
    if os.geteuid() == entry.pw_uid:
        return
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    main(sys.argv[1:])
