from __future__ import annotations

from collections.abc import Callable

import pytest

from common.errors import Misconfigured
from common.settings import COUNT_MAX, look_at_settings, read_settings
from common.tokens import HashingKeys, Kind, new_token
from common.traces import Sampling


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


# Settings in files, as secrets are mounted


def a_folder(**files: str) -> Callable[[str], str]:
    """Who reads files of the folder /run/secrets."""

    def read(path: str) -> str:
        try:
            return files[path.removeprefix("/run/secrets/")]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", path) from None

    return read


def test_a_setting_may_be_in_a_file() -> None:
    files = a_folder(url="postgresql://me:hunter2@db/world\n", agents="7")
    settings = read_settings(
        {"DATABASE_URL_FILE": "/run/secrets/url", "TESSERA_AGENTS_MAX_FILE": "/run/secrets/agents"},
        ["DATABASE_URL"],
        files,
    )
    assert settings.database_url == "postgresql://me:hunter2@db/world"
    assert settings.agents_max == 7


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"REDIS_URL_FILE": "/run/secrets/gone"}, "names /run/secrets/gone: No such file"),
        ({"REDIS_URL_FILE": "/run/secrets/empty"}, "names /run/secrets/empty, which is empty"),
        ({"REDIS_URL_FILE": "/run/secrets/wrong"}, "write it as redis://host:6379/0"),
        (
            {"REDIS_URL_FILE": "/run/secrets/right", "REDIS_URL": "redis://r"},
            "REDIS_URL_FILE is set too, unset one",
        ),
        ({"TESSERA_AGENT_MAX_FILE": "/run/secrets/right"}, "TESSERA_AGENT_MAX_FILE is no setting"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_without_what_is_in_it(
    environment: dict[str, str], complaint: str
) -> None:
    files = a_folder(empty="\n", wrong="http://hunter2@r", right="redis://:hunter2@r")
    _, (said,) = look_at_settings(environment, files)
    assert complaint in said
    assert "hunter2" not in said


def test_what_is_no_text_is_said() -> None:
    def read(_: str) -> str:
        return b"\xff".decode()

    _, (said,) = look_at_settings({"REDIS_URL_FILE": "/key"}, read)
    assert "names /key, which is no text" in said


def test_a_file_counts_as_set_even_if_it_cannot_be_read() -> None:
    with pytest.raises(Misconfigured) as wrong:
        read_settings({"REDIS_URL_FILE": "/gone"}, ["REDIS_URL"], a_folder())
    assert "set REDIS_URL" not in str(wrong.value)


def test_traces_are_exported_when_somebody_says_where_to() -> None:
    assert not read_settings({}).exports_traces
    settings = read_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"})
    assert settings.exports_traces
    assert settings.traces_endpoint == "http://collector:4318/v1/traces"
    own = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/own"}
    assert read_settings(own).traces_endpoint == "https://collector/own"


@pytest.mark.parametrize("off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_the_usual_switches_turn_traces_off(off: dict[str, str]) -> None:
    assert not read_settings(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", **off}
    ).exports_traces


@pytest.mark.parametrize(
    ("sampler", "share", "sampling"),
    [
        ("", "", Sampling(1.0, heeds_parent=True)),
        ("always_off", "", Sampling(0.0, heeds_parent=False)),
        ("parentbased_always_off", "1", Sampling(0.0, heeds_parent=True)),
        ("traceidratio", "0.25", Sampling(0.25, heeds_parent=False)),
        ("parentbased_traceidratio", "0.25", Sampling(0.25, heeds_parent=True)),
    ],
)
def test_samplers_are_opentelemetrys(sampler: str, share: str, sampling: Sampling) -> None:
    settings = read_settings({"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": share})
    assert settings.sampling == sampling


@pytest.mark.parametrize(
    "wrong",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:hunter2@:4318"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_TRACES_SAMPLER": "sometimes"},
        {"OTEL_TRACES_SAMPLER_ARG": "1.5"},
        {"OTEL_TRACES_SAMPLER_ARG": "nan"},
        {"TESSERA_LOG_LEVEL": "loud"},
    ],
)
def test_what_is_wrong_with_traces_and_logs_is_said(wrong: dict[str, str]) -> None:
    complaint = wrong_with(**wrong)
    assert complaint.startswith(next(iter(wrong)))
    assert "hunter2" not in complaint


def test_other_names_of_opentelemetry_are_its_own() -> None:
    read_settings({"OTEL_EXPORTER_OTLP_HEADERS": "a=b", "OTEL_RESOURCE_ATTRIBUTES": "c=d"})


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
