"""Where ``tessera ops`` finds the API, and a token.

The token of a ``tessera up`` is for that one only: to another address goes nothing but what was
named for it. Pure but for reading files.
"""

from __future__ import annotations

import json
from pathlib import Path

from common.errors import Misconfigured
from common.tokens import Kind, parse_token
from ops.operate.api import Access
from ops.up.run_folder import TOKEN_FILE


def find_access(url: str | None, token_file: Path | None, token: str | None, data: Path) -> Access:
    """``url`` or else the first gateway of the ``tessera up`` on ``data``; the token likewise."""
    if token_file is not None:
        token = read_token(token_file)
    if url is not None and token is None:
        raise Misconfigured(
            f"no token for {url}: name a file with --token-file, or set TESSERA_OPS_TOKEN"
        )
    return Access(url or _gateway(data), token or _own_token(data))


def read_token(path: Path) -> str:
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Misconfigured(f"the token in {path} cannot be read: {why}") from None
    if parse_token(Kind.OPERATOR, text) is None:
        raise Misconfigured(f"{path} has no operator's token in it, or it is mistyped")
    return text


def _own_token(data: Path) -> str:
    path = data / "run" / TOKEN_FILE
    if not path.exists():
        raise Misconfigured(
            f"no token: {path} is not there; name another file with --token-file,"
            " set TESSERA_OPS_TOKEN, or make one with tessera ops token"
        )
    return read_token(path)


def _gateway(data: Path) -> str:
    for path in sorted((data / "run").glob("gateway-*.json")):
        try:
            port = int(json.loads(path.read_text())["port"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # It ends just now.
        return f"http://127.0.0.1:{port}"
    raise Misconfigured(
        f"no tessera up runs on {data}: name another folder with --data,"
        " or a gateway with --url http://host:8080"
    )
