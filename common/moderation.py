"""Whether a text has a banned word in it.

Pure. A word is found as a whole, without regard to case and to ways of writing the same letter:
``Ass`` is in "you ass!" and not in "class". Letters that are not seen do not hide it. It is a
help to moderators, and no more: whoever wants to be understood finds another spelling.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import attrs

_PIECE = re.compile(r"[^\W_]+|[^\s]")  # A word, or a sign: so that "c++" is found, and not "c".
_UNSEEN = frozenset({"Cf", "Mn", "Me"})  # What joins, marks and encloses.

Pieces = tuple[str, ...]


@attrs.frozen
class BannedWords:
    """Finding one takes time by the length of the text, not by the number of words."""

    _found: frozenset[Pieces] = frozenset()
    _lengths: tuple[int, ...] = ()

    def are_in(self, text: str) -> bool:
        if not self._found:
            return False
        pieces = _pieces(text)
        return any(
            tuple(pieces[at : at + length]) in self._found
            for length in self._lengths
            for at in range(len(pieces) - length + 1)
        )


def banned(words: Iterable[str]) -> BannedWords:
    """Words may be several, as ``two words``; one with nothing to be seen in it bans nothing."""
    found = frozenset(pieces for word in words if (pieces := tuple(_pieces(word))))
    return BannedWords(found, tuple(sorted({len(pieces) for pieces in found})))


def _pieces(text: str) -> Sequence[str]:
    folded = unicodedata.normalize("NFKD", text).casefold()
    seen = "".join(sign for sign in folded if unicodedata.category(sign) not in _UNSEEN)
    return _PIECE.findall(seen)
