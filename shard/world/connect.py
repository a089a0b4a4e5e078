"""Make the floor of a chunk one connected piece.

Pure. Small pockets are filled with what surrounds them; large ones, and those that touch the
border, get a tunnel to the largest piece. The border itself is never touched: the neighbours
count on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from common.grid import CHUNK_SIZE
from shard.world.landscape import FLOOR, ROCK, WIDTH, index_of

_NEIGHBOURS = (-WIDTH, 1, WIDTH, -1)
_POCKET_MAX = 20  # Cells: what is smaller is not worth a tunnel.

_INNER = frozenset(
    index_of(column, line)
    for line in range(1, CHUNK_SIZE - 1)
    for column in range(1, CHUNK_SIZE - 1)
)
_INNER_ROW = bytes([1]) * (CHUNK_SIZE - 2)
_INNER_ROWS = tuple(index_of(1, line) for line in range(1, CHUNK_SIZE - 1))
_OPEN = bytes(kind == FLOOR for kind in range(256))
_CLOSED = bytes(WIDTH)


def connect(ground: bytearray) -> None:
    """Change the inside of ``ground`` until every floor cell can be reached from every other."""
    pieces = _pieces(ground)
    largest = max(pieces, key=lambda piece: (len(piece), piece[0]))
    apart = [piece for piece in pieces if piece is not largest]
    for piece in apart:
        if len(piece) <= _POCKET_MAX and _INNER.issuperset(piece):
            _fill(ground, piece)
    kept = [piece for piece in apart if ground[piece[0]] == FLOOR]
    if kept:
        _tunnel(ground, largest, kept)


def floor_of(ground: bytearray) -> bytearray:
    """Return one byte a cell, 1 for floor, with the rim closed."""
    open_cells = ground.translate(_OPEN)
    open_cells[:WIDTH] = open_cells[-WIDTH:] = _CLOSED
    open_cells[::WIDTH] = open_cells[WIDTH - 1 :: WIDTH] = _CLOSED
    return open_cells


def _pieces(ground: bytearray) -> list[list[int]]:
    unseen = floor_of(ground)
    pieces = []
    start = unseen.find(1)
    while start >= 0:
        pieces.append(_flood(unseen, start))
        start = unseen.find(1, start)
    return pieces


def _flood(unseen: bytearray, start: int) -> list[int]:
    """Return the cells connected to ``start``, and take them out of ``unseen``."""
    unseen[start] = 0
    piece = [start]
    for cell in piece:  # Grows while it is read.
        # As _NEIGHBOURS says, written out: this is a tenth of the making of a chunk.
        if unseen[cell - WIDTH]:
            unseen[cell - WIDTH] = 0
            piece.append(cell - WIDTH)
        if unseen[cell + 1]:
            unseen[cell + 1] = 0
            piece.append(cell + 1)
        if unseen[cell + WIDTH]:
            unseen[cell + WIDTH] = 0
            piece.append(cell + WIDTH)
        if unseen[cell - 1]:
            unseen[cell - 1] = 0
            piece.append(cell - 1)
    return piece


def _fill(ground: bytearray, piece: Iterable[int]) -> None:
    shore = [ground[cell + step] for cell in piece for step in _NEIGHBOURS]
    around = max((kind for kind in shore if kind != FLOOR), key=shore.count, default=ROCK)
    for cell in piece:
        ground[cell] = around


def _tunnel(ground: bytearray, largest: Iterable[int], apart: Sequence[Sequence[int]]) -> None:
    """Dig from each piece along the shortest way, through the inside only, to the largest one."""
    towards, ends = _ways(ground, largest, apart)
    for cell in ends:
        while towards[cell]:
            ground[cell] = FLOOR
            cell = towards[cell]


def _ways(
    ground: bytearray, largest: Iterable[int], apart: Sequence[Sequence[int]]
) -> tuple[Sequence[int], Iterable[int]]:
    """Return for each cell the next one on the way, and the cell of each piece that is nearest.

    Zero: there is none, or it is not known, for nobody looks further than to the last piece.
    """
    piece_of = {cell: number for number, piece in enumerate(apart) for cell in piece}
    towards, ends = [0] * len(ground), dict.fromkeys(range(len(apart)), 0)
    missing = len(apart)
    unseen = _to_be_dug(ground, largest)
    shore = _beside(unseen)
    frontier = [cell for cell in largest if shore[cell]]
    for cell in frontier:  # Grows while it is read.
        for step in _NEIGHBOURS:
            beyond = cell + step
            if unseen[beyond]:
                unseen[beyond] = 0
                towards[beyond] = cell
                frontier.append(beyond)
                number = piece_of.get(beyond)
                if number is not None and not ends[number]:
                    ends[number] = beyond
                    missing -= 1
                    if not missing:
                        return towards, ends.values()
    raise AssertionError("every piece can be reached through the inside")


def _to_be_dug(ground: bytearray, largest: Iterable[int]) -> bytearray:
    """Return one byte a cell, 1 for the inside and other floor, without ``largest``."""
    cells = floor_of(ground)
    for start in _INNER_ROWS:
        cells[start : start + len(_INNER_ROW)] = _INNER_ROW
    for cell in largest:
        cells[cell] = 0
    return cells


def _beside(cells: bytearray) -> bytes:
    """Return one byte a cell, not 0 where a neighbour is one of ``cells``; all cells at once."""
    one = int.from_bytes(cells, "little")
    beside = one << 8 | one >> 8 | one << 8 * WIDTH | one >> 8 * WIDTH
    return beside.to_bytes(len(cells) + WIDTH, "little")
