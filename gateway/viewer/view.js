// Which chunks are to be watched, given where the camera is. Pure.

import { CHUNK } from "./world.js";

const REACH_NEAR = 1;           // Chunks to each side of the middle one: 9 in all,
const REACH_FAR = 2;            // or 25, which is all that one stream may have.
// Chunks that the window spans. Two bounds, so that a zoom at the edge does not go to and fro.
const GROW_AT = 2.4;
const SHRINK_AT = 1.9;
const STAY_CELLS = 5;           // So far into the next chunk the middle stays: borders are walked along.

export const NOWHERE = { cx: NaN, cy: NaN, reach: REACH_NEAR };

// The view {cx, cy, reach} after `before`.
export function nextView(before, { x, y, scale }, width, height) {
  const span = Math.max(width, height) / scale / CHUNK;
  const reach = span > GROW_AT ? REACH_FAR : span < SHRINK_AT ? REACH_NEAR : before.reach;
  return { cx: middle(before.cx, x), cy: middle(before.cy, y), reach };
}

// Its chunks: the middle first, then outward, since a stream begins in this order.
export function chunksOf({ cx, cy, reach }) {
  const chunks = [];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) chunks.push({ id: `${cx + dx}:${cy + dy}`, far: Math.hypot(dx, dy) });
  }
  return chunks.sort((a, b) => a.far - b.far).map(({ id }) => id);
}

function middle(before, cell) {
  const isNear = cell >= before * CHUNK - STAY_CELLS && cell < (before + 1) * CHUNK + STAY_CELLS;
  return isNear ? before : Math.floor(cell / CHUNK);
}
