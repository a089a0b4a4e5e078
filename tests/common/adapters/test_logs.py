from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog
from hypothesis import assume, given
from hypothesis import strategies as st

from common.adapters.logs import HIDDEN, configure_logs, mask, wants_colour
from common.challenge import encode_base64url
from common.tokens import Kind, new_token


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What was logged since; the process's own logging is as before when the test is over."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield lambda: capsys.readouterr().out
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    for own in ("common", "gateway", "shard", "ops", "tessera"):
        logging.getLogger(own).setLevel(logging.NOTSET)


Output = Callable[[], str]


def _line(output: Output) -> dict[str, object]:
    line: dict[str, object] = json.loads(output())
    return line


def test_a_line_says_when_how_bad_and_what(output: Output) -> None:
    configure_logs("json")

    structlog.get_logger("shard").info("took slot", slot=3)

    line = _line(output)
    assert line["event"] == "took slot"
    assert line["level"] == "info"
    assert line["slot"] == 3
    assert str(line["timestamp"]).endswith("Z")


def test_libraries_log_the_same_way(output: Output) -> None:
    configure_logs("json")

    logging.getLogger("hypercorn.error").warning("reading %s", "slowly")

    line = _line(output)
    assert line["event"] == "reading slowly"
    assert line["logger"] == "hypercorn.error"


@pytest.mark.parametrize("format", ["json", "text"])
@pytest.mark.parametrize("kind", list(Kind))
def test_no_token_is_ever_shown(output: Output, format: str, kind: Kind) -> None:
    configure_logs("json" if format == "json" else "text")
    token = new_token(kind)
    log = structlog.get_logger("gateway")

    log.info(f"a client came with {token.text}", words=[token.text], said={token.text: token.text})
    log.info("as bytes", frame=token.text.encode(), secret=token.secret, session_token=token.text)
    logging.getLogger("library").warning("GET /?resume=%s", token.text)
    try:
        int(token.text)
    except ValueError:
        log.exception("it fell")

    shown = output()
    assert "it fell" in shown
    assert "Traceback" in shown
    assert token.secret not in shown


def test_local_variables_are_not_in_a_traceback(output: Output) -> None:
    configure_logs("json")
    hidden_in_a_local = "sword" + "fish"
    try:
        int("no number")
    except ValueError:
        structlog.get_logger("gateway").exception("it fell")

    assert hidden_in_a_local not in output()


@pytest.mark.parametrize("name", ["password", "api_key", "challenge_secret", "Authorization"])
def test_a_field_that_is_named_like_a_secret_is_hidden(output: Output, name: str) -> None:
    configure_logs("json")

    structlog.get_logger("gateway").info("came", **{name: "swordfish"}, headers={name: "swordfish"})

    line = _line(output)
    assert line[name] == HIDDEN
    assert line["headers"] == {name: HIDDEN}


def test_the_id_of_a_token_is_no_secret(output: Output) -> None:
    configure_logs("json")

    structlog.get_logger("gateway").info("revoked", key_id="k1", token_id="t1")

    line = _line(output)
    assert (line["key_id"], line["token_id"]) == ("k1", "t1")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to postgresql://me:sword@db/x now", f"to postgresql://me:{HIDDEN}@db/x now"),
        ("redis://:fish@r:1/0", f"redis://:{HIDDEN}@r:1/0"),
        ("redis://:s/w@rd@r:1/0", f"redis://:{HIDDEN}@r:1/0"),
        ("postgresql://db/x?password=fish&a=b", f"postgresql://db/x?password={HIDDEN}&a=b"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
    ],
)
def test_a_password_in_a_url_is_hidden(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("from 203.0.113.9:4711", f"from {HIDDEN}:4711"),
        ("('203.0.113.9', 5432)", f"('{HIDDEN}', 5432)"),
        ("from [2001:db8::7]:80 to ::ffff:198.51.100.1", f"from [{HIDDEN}]:80 to {HIDDEN}"),
        ("on 127.0.0.1, ::1 and 0.0.0.0", "on 127.0.0.1, ::1 and 0.0.0.0"),
        ("chunk 1:-2 at 23:59:59, Python 3.11.2", "chunk 1:-2 at 23:59:59, Python 3.11.2"),
        ("ada.lovelace+x@mail.example.org wrote", f"{HIDDEN} wrote"),
        ("to=ada%40example.org", f"to={HIDDEN}"),
        ("TSK_ABCDEFGH12345678", f"TSK_{HIDDEN}"),
    ],
)
def test_addresses_and_email_are_hidden(text: str, shown: str) -> None:
    assert mask(text) == shown


@given(st.binary(min_size=32, max_size=32))
def test_keys_and_signatures_are_hidden(secret: bytes) -> None:
    text = encode_base64url(secret)
    assume(any(map(str.isdigit, text)) and text.upper() != text != text.lower())
    assert text not in mask(f"signature={text}, and so on")
    assert mask(text) == HIDDEN


def test_what_is_no_secret_is_shown() -> None:
    for text in (
        "ses_0123456789abcdefghijABCDEF",
        "gateway-0f3e5c2a9b1d-4f6a7b8c",
        "0af7651916cd43dd8448eb211c80319c",
        "common/adapters/postgres_journal.py:123",
        "10:-4",
    ):
        assert mask(text) == text


@pytest.mark.parametrize("name", ["address", "client_address", "email", "e_mail"])
def test_a_field_that_is_named_like_an_address_is_hidden(output: Output, name: str) -> None:
    configure_logs("json")
    structlog.get_logger("gateway").info("came", **{name: "somewhere"})
    assert _line(output)[name] == HIDDEN


def test_our_own_lines_have_a_level_and_libraries_stay_at_info(output: Output) -> None:
    configure_logs("json", "debug")
    structlog.get_logger("gateway.agent.way").debug("ours")
    logging.getLogger("hpack.hpack").debug("b'authorization', b'Bearer ...'")
    assert _line(output)["event"] == "ours"
    configure_logs("json", "warning")
    structlog.get_logger("gateway.agent.way").info("ours")
    assert output() == ""


def test_there_is_colour_on_a_terminal_only() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert wants_colour(Terminal(), {})
    assert not wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not wants_colour(io.StringIO(), {})
    assert wants_colour(io.StringIO(), {"FORCE_COLOR": "1"})
