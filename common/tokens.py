"""Bearer tokens: ``<prefix>_<id>_<secret><checksum>``.

Pure but for the operating system's randomness in ``new_token``. The checksum (CRC-32, six base
62 digits) tells a typo from a token that was once real without a look-up; it protects nothing.
The secret has 256 random bits, so one SHA-256 of it is enough to keep (a slow hash is for
secrets that can be guessed). What lives long, API keys and operators' tokens, is hashed with a
key of the operator's if there is one (``HashingKeys``): then a database alone makes no token.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
import string
import zlib

import attrs

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_DIGITS = 43  # 62**43 > 2**256
_CHECKSUM_DIGITS = 6  # 62**6 > 2**32
_ID_DIGITS = 16
_SHAPE = re.compile(r"(ts[ksro])_([0-9A-Za-z]{16})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")


class Kind(enum.StrEnum):
    API_KEY = "tsk"
    SESSION = "tss"
    RESUME = "tsr"
    OPERATOR = "tso"


@attrs.frozen
class Token:
    """A well-formed token; whether it is anybody's is for the store to say."""

    kind: Kind
    id: str
    secret: str = attrs.field(repr=False)

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(self.secret.encode()).digest()

    @property
    def text(self) -> str:
        body = f"{self.kind}_{self.id}_{self.secret}"
        return body + _checksum(body)


def new_id() -> str:
    """Return a fresh id: 16 base 62 digits, 95 random bits."""
    return _digits(secrets.randbelow(62**_ID_DIGITS), _ID_DIGITS)


def new_token(kind: Kind, id: str | None = None) -> Token:
    return Token(
        kind, id or new_id(), _digits(secrets.randbelow(62**_SECRET_DIGITS), _SECRET_DIGITS)
    )


def parse_token(kind: Kind, text: str) -> Token | None:
    """Return the token that ``text`` is, or None when it is malformed or mistyped."""
    match = _SHAPE.fullmatch(text)
    if match is None or match[1] != kind:
        return None
    token = Token(kind, match[2], match[3])
    return token if hmac.compare_digest(token.text.encode(), text.encode()) else None


def id_in(kind: Kind, text: str) -> str:
    """Return the id of the token that ``text`` is, and ``text`` when it is none: perhaps an id."""
    token = parse_token(kind, text)
    return text if token is None else token.id


def is_secret_of(token: Token, secret_hash: bytes) -> bool:
    """Whether ``token`` carries the secret that hashes to ``secret_hash``; in constant time."""
    return hmac.compare_digest(token.hash, secret_hash)


@attrs.frozen
class HashingKeys:
    """What the secrets of API keys and operators' tokens are hashed with: HMAC-SHA-256.

    An empty key stands for plain SHA-256. New hashes are made with ``current``; those made with
    ``previous``, if there is one, are still good.
    """

    current: bytes = attrs.field(default=b"", repr=False)
    previous: bytes | None = attrs.field(default=None, repr=False)

    def hash(self, token: Token) -> bytes:
        return _keyed_hash(self.current, token)

    def fits(self, token: Token, secret_hash: bytes) -> bool:
        """Whether ``secret_hash`` is of the secret of ``token``; in constant time."""
        previous = self.current if self.previous is None else self.previous
        by_current = hmac.compare_digest(self.hash(token), secret_hash)
        by_previous = hmac.compare_digest(_keyed_hash(previous, token), secret_hash)
        return by_current | by_previous

    def is_current(self, token: Token, secret_hash: bytes) -> bool:
        """Whether it fits, and will when the previous key is given up."""
        return hmac.compare_digest(self.hash(token), secret_hash)


def _keyed_hash(key: bytes, token: Token) -> bytes:
    return hmac.digest(key, token.secret.encode(), "sha256") if key else token.hash


def _checksum(text: str) -> str:
    return _digits(zlib.crc32(text.encode()), _CHECKSUM_DIGITS)


def _digits(number: int, count: int) -> str:
    digits = []
    for _ in range(count):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
