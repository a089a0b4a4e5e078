"""What looks like a secret in a text, hidden: tokens, keys, signatures, addresses, e-mail.

Pure. It goes by looks alone, and hides too much rather than too little. Logs, the terminal and the
audit log write what came from outside only through it, so it takes time by the length of the text
and not by its square, whatever the text is.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

HIDDEN = "[hidden]"

# Long enough to be (part of) one of ours; a checksum that does not fit makes it no less secret.
_TOKEN = re.compile(r"(ts[ksro]_)[0-9a-z_]{8,}", re.IGNORECASE)
# Signatures and the keys that make them: 32 bytes in base64url, which has all kinds of characters.
# Longer ones may be a token that lost its beginning.
_BYTES_32 = re.compile(
    r"(?<![\w-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{43,}(?![\w-])", re.ASCII
)
# 64: https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.1
_EMAIL = re.compile(r"[\w.+-]{1,64}(?:@|%40)[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)")
_IPV6 = re.compile(r"(?<![\w:.])[\da-f]*:[\da-f:]*:[\da-f.]*(?![\w:])", re.IGNORECASE)
_WORD = re.compile(r"[^\s\"']+")
_URL_PASSWORD = re.compile(r"(?<=://)([^/:@]*):.+")
_QUERY_PASSWORD = re.compile(r"(?<=password=)[^&\s]+")


def mask(text: str) -> str:
    """Return ``text`` with all that may be nobody's to read hidden.

    Tokens of ours, passwords in URLs, signatures and keys, e-mail, and addresses but this machine's
    own (127.0.0.1, ::1, 0.0.0.0).
    """
    text = _WORD.sub(_without_password, _TOKEN.sub(rf"\1{HIDDEN}", text))
    text = _BYTES_32.sub(HIDDEN, _QUERY_PASSWORD.sub(HIDDEN, text))
    return _IPV4.sub(_unless_ours, _IPV6.sub(_unless_ours, _EMAIL.sub(HIDDEN, text)))


def _unless_ours(match: re.Match[str]) -> str:
    try:
        address = ip_address(match[0])
    except ValueError:
        return match[0]
    return match[0] if address.is_loopback or address.is_unspecified else HIDDEN


def _without_password(word: re.Match[str]) -> str:
    # Up to the last @, because people forget to escape; hiding too much harms nobody.
    before, at, after = word[0].rpartition("@")
    return _URL_PASSWORD.sub(rf"\1:{HIDDEN}", before) + at + after
