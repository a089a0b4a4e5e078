"""API keys kept in a file, so that an agent is the same one the next time.

One JSON object, name -> credentials, readable by its owner only. Not for many writers at once.
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from common import wire
from common.errors import Misconfigured
from ops.client.account import Credentials


@attrs.frozen
class Keyring:
    path: Path

    def find(self, name: str) -> Credentials | None:
        return next((known for known in self._all() if known.name == name), None)

    def keep(self, credentials: Credentials) -> None:
        """Add ``credentials``; the file is replaced whole, so a crash leaves the old one."""
        kept = [known for known in self._all() if known.name != credentials.name]
        draft = self.path.with_suffix(".new")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(wire.encode([*kept, credentials]))
        draft.replace(self.path)

    def forget(self, name: str) -> None:
        remaining = [known for known in self._all() if known.name != name]
        self.path.write_bytes(wire.encode(remaining))

    def _all(self) -> list[Credentials]:
        if not self.path.exists():
            return []
        try:
            return wire.decode(self.path.read_bytes(), list[Credentials])
        except (OSError, wire.Malformed) as error:
            raise Misconfigured(
                f"the keys in {self.path} cannot be read ({error}); mend that file, or move it away"
            ) from None
