"""The proof of a command: what is signed, with what, and whether it is right.

Pure. HMAC-SHA256 (RFC 2104) over canonical JSON (RFC 8785). Nonces and their life times are the
caller's business. Client and gateway both use this, and the protocol's test vector pins it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Any

import attrs

from common.grid import AgentId, CommandId, SessionId
from common.wire import canonical

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


@attrs.frozen
class Claim:
    """What a signature covers; ``command`` and ``expires_at`` exactly as they were on the wire."""

    agent_id: AgentId
    session_id: SessionId
    id: CommandId
    command: Mapping[str, Any]
    nonce: str
    expires_at: str


def sign(secret: bytes, claim: Claim) -> str:
    """Return the signature, base64url without padding."""
    message = canonical(
        {
            "agent_id": claim.agent_id,
            "command": dict(claim.command),
            "expires_at": claim.expires_at,
            "id": claim.id,
            "nonce": claim.nonce,
            "session_id": claim.session_id,
            "v": 1,
        }
    )
    # By name: given the function, hmac would do it in Python.
    return encode_base64url(hmac.digest(secret, message, "sha256"))


def is_signed(secret: bytes, claim: Claim, signature: str) -> bool:
    """Whether ``signature`` is right; takes as long for a wrong one."""
    return hmac.compare_digest(sign(secret, claim).encode(), signature.encode())


def encode_base64url(data: bytes) -> str:
    digits = binascii.b2a_base64(data, newline=False).translate(_URL_SAFE)
    return digits.rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """Decode without padding; ValueError when ``text`` is not base64url."""
    if "+" in text or "/" in text:
        raise ValueError("not base64url: the digits of plain base64")  # altchars would pass them.
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
