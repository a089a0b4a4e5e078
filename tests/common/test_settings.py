from __future__ import annotations

import pytest

from common.errors import Misconfigured
from common.settings import read_settings


def test_an_empty_environment_gives_the_protocols_defaults() -> None:
    settings = read_settings({"UNRELATED": "1", "TESSERA_AGENTS_MAX": ""})
    assert (settings.signups_per_min, settings.commands_per_s, settings.agents_max) == (
        10,
        10,
        5000,
    )
    assert settings.trusted_proxies == ()


def test_settings_are_read_by_their_names() -> None:
    settings = read_settings(
        {"TESSERA_COMMANDS_PER_S": "0", "TESSERA_TRUSTED_PROXIES": "10.0.0.0/8, ::1/128"}
    )
    assert settings.commands_per_s == 0
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(Misconfigured) as wrong:
        read_settings(
            {
                "TESSERA_COMMANDS_PER_S": "many",
                "TESSERA_AGENTS_MAX": "-1",
                "TESSERA_TRUSTED_PROXIES": "10.0.0.1/8",
            }
        )
    for name in ("TESSERA_COMMANDS_PER_S", "TESSERA_AGENTS_MAX", "TESSERA_TRUSTED_PROXIES"):
        assert name in str(wrong.value)
