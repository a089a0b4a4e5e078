"""Wrong words: one line that says what to do, exit code 2, and nothing begun."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.cli import main

WRONG = [
    ("watch nonsense", "write 0:0"),
    ("watch 1:2:3", "write 0:0"),
    ("watch 99999999999:0", "write 0:0"),
    ("watch --url localhost:8080", "write http://"),
    ("watch --url ftp://x", "write http://"),
    ("watch --url http://", "write http://"),
    ("watch --url http://127.0.0.1:99999", "write http://"),
    ("bots --url localhost:8080", "write http://"),
    ("bots --keys /dev/null/keys.json", "cannot be written"),
    ("bots --count 0", "--count"),
    ("replay --chunk x", "write 0:0"),
    ("replay --png /nowhere/there/x.png", "cannot be written"),
    ("replay --at-tick -1", "--at-tick"),
    ("simulate --seeds 5", "write 0..10000"),
    ("simulate --seeds 10..5", "write 0..10000"),
    ("simulate --faults fire", "some of"),
    ("simulate --minutes nan", "--minutes"),
    ("simulate --seed 1 --seeds 0..3", "not both"),
    ("chaos --rate 0", "--rate"),
    ("chaos --rate nan", "--rate"),
    ("chaos --minutes inf", "--minutes"),
    ("up --port 0", "--port"),
    ("up --port many", "--port"),
    ("up --colour", "--colour"),
    ("up now", "now"),
    ("dance", "dance"),
    ("migrate --shards 0", "--shards"),
    ("reshard 0", "SHARD_COUNT"),
    ("reshard many", "SHARD_COUNT"),
    ("drain", "SLOT"),
    ("drain -- -1", "SLOT"),
    ("ops token", "--role"),
    ("ops token --role king", "--role"),
    ("ops mute somebody --seconds 0", "--seconds"),
    ("ops words --set a --clear", "not two of them"),
    ("ops topology --url localhost", "write http://"),
    ("ops dance", "dance"),
    ("ops tokens dance", "dance"),
    ("ops tokens revoke tso_half_of_one", "neither a token's id nor a whole token"),
]


@pytest.mark.parametrize(("words", "advice"), WRONG)
def test_a_wrong_word_is_one_line_and_exit_code_2(words: str, advice: str) -> None:
    answer = CliRunner().invoke(main, words.split())

    assert answer.exit_code == 2, answer.output
    (line,) = answer.output.splitlines()
    assert line.startswith("tessera: ")
    assert advice in line
    assert "--help says more" in line


def test_help_is_help_and_no_error() -> None:
    for name in ("", *main.commands):
        answer = CliRunner().invoke(main, [*name.split(), "--help"])
        assert answer.exit_code == 0
        assert "Usage:" in answer.output


def test_keys_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text("half of")

    answer = CliRunner().invoke(
        main, ["bots", "--keys", str(keys)], env=dict.fromkeys(os.environ, None)
    )

    assert answer.exit_code == 2
    assert f"the keys in {keys} cannot be read" in answer.output.splitlines()[-1]


def test_data_that_is_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    answer = CliRunner().invoke(
        main,
        ["replay", "--data", str(tmp_path / "file")],
        env=dict.fromkeys(os.environ, None),
    )

    assert answer.exit_code == 2
    assert "--data" in answer.output


def test_bots_may_be_given_a_file_in_folders_that_are_not_there_yet(tmp_path: Path) -> None:
    answer = CliRunner().invoke(
        main,
        ["bots", "--keys", str(tmp_path / "a" / "b" / "keys.json")],
        env={**dict.fromkeys(os.environ, None), "TESSERA_LOG_FORMAT": "xml"},
    )

    assert answer.exit_code == 2
    assert "TESSERA_LOG_FORMAT" in answer.output  # As far as the settings, that is.
