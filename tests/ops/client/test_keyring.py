from __future__ import annotations

import stat
from pathlib import Path

from common.grid import AgentId
from ops.client import Credentials, Keyring

ADA = Credentials(AgentId("agt_1"), "ada", "tsk_secret")


def test_what_is_kept_is_found_again_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "new" / "keys.json")
    assert keyring.find("ada") is None
    keyring.keep(ADA)
    assert Keyring(tmp_path / "new" / "keys.json").find("ada") == ADA
    assert stat.S_IMODE(keyring.path.stat().st_mode) == 0o600


def test_a_name_has_one_key_and_can_be_forgotten(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys.json")
    keyring.keep(ADA)
    newer = Credentials(AgentId("agt_2"), "ada", "tsk_newer")
    keyring.keep(newer)
    assert keyring.find("ada") == newer
    keyring.forget("ada")
    assert keyring.find("ada") is None
