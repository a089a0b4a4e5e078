from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from common.adapters.logs import configure_logs, wants_colour
from common.masking import HIDDEN
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
