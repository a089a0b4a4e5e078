from __future__ import annotations

import pytest

from common.errors import Misconfigured
from common.settings import COUNT_MAX, look_at_settings, read_settings
from common.tokens import HashingKeys, Kind, new_token


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


def wrong_with(**environment: str) -> str:
    """The one complaint about ``environment``."""
    _, (complaint,) = look_at_settings(environment)
    return complaint


@pytest.mark.parametrize(
    "url",
    [
        "http://hunter2@db/world",
        "hunter2",
        "postgresql:/me:hunter2@db/world",
        "postgresql://",
        "postgresql://me:hunter2@:5432/world",
        "postgresql://me:hunter2@db:0/world",
        "postgresql://me:hunter2@db:65536/world",
        "postgresql://me:hunter/2@db:5432/world",
        "postgresql://me:hunter2@[::1/world",
        "hunter2!://db",
    ],
)
def test_a_database_that_cannot_be_one_is_said_without_its_password(url: str) -> None:
    complaint = wrong_with(DATABASE_URL=url)
    assert "write it as postgresql://user@host:5432/name" in complaint
    assert "hunter" not in complaint


@pytest.mark.parametrize("url", ["http://r", "redis://", "redis://:hunter2@r:port/0", "r:6379"])
def test_a_redis_that_cannot_be_one_is_said_without_its_password(url: str) -> None:
    complaint = wrong_with(REDIS_URL=url)
    assert "write it as redis://host:6379/0" in complaint
    assert "hunter" not in complaint


@pytest.mark.parametrize(
    "environment",
    [
        {"DATABASE_URL": "postgres://me:pw@db.example/world?sslmode=require"},
        {"DATABASE_URL": "postgresql://one:5432,two:5433/world"},
        {"DATABASE_URL": "postgresql:///world?host=/var/run/postgresql"},
        {"DATABASE_URL": "postgresql://me@[::1]:5432/world"},
        {"REDIS_URL": "rediss://r:6380"},
        {"REDIS_URL": "unix:///run/valkey.sock?db=0"},
    ],
)
def test_every_way_to_name_a_server_is_taken(environment: dict[str, str]) -> None:
    assert look_at_settings(environment)[1] == []


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("TESSERA_AGENT_MAX", "did you mean TESSERA_AGENTS_MAX?"),
        ("TESSERA_LOGFORMAT", "did you mean TESSERA_LOG_FORMAT?"),
        ("TESSERA_COLOUR", "unset it"),
    ],
)
def test_a_name_that_nobody_knows_is_wrong(name: str, advice: str) -> None:
    assert wrong_with(**{name: "1"}) == f"{name} is no setting, {advice}"


def test_names_of_others_and_of_the_tests_are_nobodys_business() -> None:
    assert look_at_settings({"TESSERA_TEST_URL": "x", "TESSERAE": "x", "TESSERA_OLD": ""})[1] == []


@pytest.mark.parametrize(
    "text", ["many", "-1", "1e3", "1.5", "1_000", "٣", "9" * 5000, "1000000001"]
)
def test_what_is_no_count_is_said_in_plain_words(text: str) -> None:
    complaint = wrong_with(TESSERA_AGENTS_MAX=text)
    assert str(COUNT_MAX) in complaint
    assert "literal" not in complaint


def test_an_address_is_no_network_and_its_network_is_named() -> None:
    assert "write 10.0.0.0/8" in wrong_with(TESSERA_TRUSTED_PROXIES="::1, 10.0.0.1/8")
    assert "as 10.0.0.0/8" in wrong_with(TESSERA_TRUSTED_PROXIES="all")


def test_what_is_missing_is_said_with_what_is_wrong() -> None:
    with pytest.raises(Misconfigured, match=r"REDIS_URL: .*set DATABASE_URL"):
        read_settings({"REDIS_URL": "http://r"}, needed=("DATABASE_URL", "REDIS_URL"))


def test_what_can_be_read_is_there_beside_what_is_wrong() -> None:
    settings, wrong = look_at_settings({"DATABASE_URL": "postgresql://db/x", "REDIS_URL": "r"})
    assert settings.database_url == "postgresql://db/x"
    assert settings.redis_url is None
    assert len(wrong) == 1


def test_hashing_keys_are_read_and_never_shown() -> None:
    first, second = "hunter2" * 5, "hunter3" * 5
    settings = read_settings({"TESSERA_HASHING_KEY": second, "TESSERA_HASHING_KEY_PREVIOUS": first})
    assert settings.hashing_keys.current == second.encode()
    assert settings.hashing_keys.previous == first.encode()
    assert "hunter" not in repr(settings)
    assert read_settings({}).hashing_keys == HashingKeys()
    began = read_settings({"TESSERA_HASHING_KEY": second, "TESSERA_HASHING_KEY_PREVIOUS": "none"})
    assert began.hashing_keys == HashingKeys(second.encode(), b"")


@pytest.mark.parametrize("key", ["hunter2", "none", "hunter2" * 5 + "\n", "hünter2" * 5])
def test_a_weak_hashing_key_is_refused_and_not_quoted(key: str) -> None:
    complaint = wrong_with(TESSERA_HASHING_KEY=key)
    assert "openssl rand -hex 32" in complaint
    assert "hunter" not in complaint
    assert "nter2" not in complaint


def test_an_operators_token_that_is_mistyped_is_noticed_and_not_quoted() -> None:
    token = new_token(Kind.OPERATOR).text
    assert read_settings({"TESSERA_OPS_TOKEN": token}).ops_token == token
    complaint = wrong_with(TESSERA_OPS_TOKEN=token[:-1])
    assert "mistyped" in complaint
    assert token[:-1] not in complaint
