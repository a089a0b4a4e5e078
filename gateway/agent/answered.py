"""What was answered in one session, by the client's ids: an id sent again gets the same again.

Pure. Keeps the newest ANSWERS_KEPT_MAX; of older ids it only knows that they *may* have been
answered (a Bloom filter: Bloom, CACM 13(7), 1970), and then PostgreSQL must be asked. So a long
session costs 8 KiB, and a new id next to never a question. Rejected commands are not kept: their
ids may be used again.
"""

from __future__ import annotations

import hashlib
import struct

import attrs

from common.envelopes import AckLine, ResultLine
from common.grid import CommandId
from common.journal import Known
from common.limits import ANSWERS_KEPT_MAX

_FILTER_BYTES = 8192  # With 4 bits an id: one in 100 wrongly doubted at 6,000 ids.
_four = struct.Struct(">4H").unpack  # Two bytes name a place: there are 2**16.


@attrs.define
class Answered:
    """``complete`` is False when the session had answers before us that we were not told of."""

    complete: bool = True
    _kept: dict[CommandId, Known] = attrs.field(factory=dict)
    _older: bytearray | None = None

    def find(self, id: CommandId) -> Known | None:
        return self._kept.get(id)

    def may_be_older(self, id: CommandId) -> bool:
        """Whether only PostgreSQL can say if ``id``, which is not kept, was answered."""
        if not self.complete:
            return True
        older = self._older
        if older is None:
            return False
        for bit in _bits_of(id):  # noqa: SIM110 - all() of a generator takes twice as long.
            if not older[bit >> 3] & 1 << (bit & 7):
                return False
        return True

    def accepted(self, ack: AckLine) -> None:
        self.recall(Known(ack, None))

    def ended(self, result: ResultLine) -> None:
        if known := self._kept.get(result.id):
            self._kept[result.id] = Known(known.ack, result)

    def recall(self, known: Known) -> None:
        """Keep what was answered, as the newest."""
        self._kept.pop(known.ack.id, None)
        self._kept[known.ack.id] = known
        if len(self._kept) > ANSWERS_KEPT_MAX:
            self._let_go(next(iter(self._kept)))

    def _let_go(self, id: CommandId) -> None:
        del self._kept[id]
        if self._older is None:
            self._older = bytearray(_FILTER_BYTES)
        for bit in _bits_of(id):
            self._older[bit >> 3] |= 1 << (bit & 7)


def _bits_of(id: CommandId) -> tuple[int, int, int, int]:
    """Four places in the filter. Not hash(): that differs from process to process."""
    return _four(hashlib.blake2b(id.encode(), digest_size=8).digest())
