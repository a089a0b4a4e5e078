"""What a client's frame says, or what is wrong with it.

Pure. It judges the shape only; whether a command makes sense is ``exchange``'s to say. Nothing
that a client can send raises here.
"""

from __future__ import annotations

import re
from typing import Any, cast

import attrs

from common import wire
from common.frames import Answer, Cancel, ClientFrame, CommandRequest, Proof
from common.grid import CommandId

_TYPES = ("command_req", "answer", "cancel")
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_MESSAGE_CHARACTERS_MAX = 300  # Enough for every fault of an honest frame.
_FIELDS, _PROOF_FIELDS = 4, 2  # Of a command with its proof, and of that.
_WELL_FORMED = "A"  # Stands for a nonce or a signature that is text, but not base64url.


@attrs.frozen
class Nonsense:
    """Binary, no JSON, or of no known type: the fifth closes the connection."""

    message: str


@attrs.frozen
class Mistake:
    """Of a known type, but not as the protocol has it, and no ack can name what is meant."""

    message: str
    id: CommandId | None = None


@attrs.frozen
class Faulty:
    """A ``command_req`` or ``answer`` with a valid ``id``, but not as the protocol has it."""

    id: CommandId


Concluding = CommandRequest | Answer | Faulty
"""What ends in an ack."""

Heard = Concluding | Cancel | Nonsense | Mistake


def read(text: str | None) -> Heard:
    """Return what a text frame says; None stands for a binary one."""
    if text is None:
        return Nonsense("send text frames, not binary ones")
    not_text: wire.NotText | None = None
    try:
        plain = wire.parse(text)
    except wire.NotText as malformed:
        plain, not_text = malformed.value, malformed
    except wire.Malformed as malformed:
        return Nonsense(_shortened(f"not JSON: {malformed}"))
    if not_text is None and (request := _usual(plain)) is not None:
        return request
    if not isinstance(plain, dict) or plain.get("type") not in _TYPES:
        return Nonsense(f"type must be one of {', '.join(_TYPES)}")
    if not_text is not None:
        return _fault(plain, not_text)
    try:
        return _structure(plain)
    except wire.Malformed as malformed:
        return _fault(plain, malformed)


def _usual(plain: object) -> CommandRequest | None:
    """Return what ``_structure`` would, if it is a command with its proof and nothing is wrong."""
    if not isinstance(plain, dict) or len(plain) != _FIELDS or plain.get("type") != "command_req":
        return None
    id, command, proof = plain.get("id"), plain.get("command"), plain.get("answer")
    if not (isinstance(id, str) and isinstance(command, dict) and isinstance(proof, dict)):
        return None
    if len(proof) != _PROOF_FIELDS or not _is_text(proof) or not _ID.fullmatch(id):
        return None
    return CommandRequest(CommandId(id), command, Proof(proof["nonce"], proof["signature"]))


def _fault(plain: dict[str, Any], malformed: wire.Malformed) -> Mistake | Faulty:
    id = _id_of(plain)
    if id is None or plain["type"] == "cancel":
        return Mistake(_shortened(str(malformed)), id)
    return Faulty(id)


def _structure(plain: dict[str, Any]) -> ClientFrame:
    """A wrong proof is a wrong proof, also when it could never be one: no reason to be picky."""
    sent = plain if plain["type"] == "answer" else plain.get("answer")
    if not isinstance(sent, dict) or not _is_text(sent):
        return _strictly(plain)
    nonce, signature = sent["nonce"], sent["signature"]
    tame = {**sent, "nonce": _WELL_FORMED, "signature": _WELL_FORMED}
    match _strictly(tame if sent is plain else {**plain, "answer": tame}):
        case Answer(id=id):
            return Answer(id, nonce, signature)
        case CommandRequest(id=id, command=command):
            return CommandRequest(id, command, Proof(nonce, signature))
        case other:
            return other


def _strictly(plain: object) -> ClientFrame:
    return wire.structure(plain, cast("type[ClientFrame]", ClientFrame))


def _is_text(proof: dict[str, Any]) -> bool:
    return isinstance(proof.get("nonce"), str) and isinstance(proof.get("signature"), str)


def _id_of(plain: dict[str, Any]) -> CommandId | None:
    id = plain.get("id")
    return CommandId(id) if isinstance(id, str) and _ID.fullmatch(id) else None


def _shortened(text: str) -> str:
    return text[:_MESSAGE_CHARACTERS_MAX]
