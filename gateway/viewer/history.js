// What was received in the last two minutes, chunk by chunk, in order: enough to show any moment
// of it again. It keeps no time and draws nothing.
//
// Bounded twice: by KEPT_MS, and by WEIGHT_MAX (then the oldest go first, and it is shorter). What is dropped is dropped up to a whole chunk, so the rest still makes sense.

import { Clockwork } from "./clockwork.js";

export const KEPT_MS = 120_000;
const WEIGHT_MAX = 400_000;     // Events and entities, some 100 bytes each: 40 MB at the most.
const MARKS_MAX = 100;
const WHOLE_EVERY = 50;         // Deltas between two whole chunks: what a jump back costs at most.
const PRUNE_EVERY_MS = 1000;
const HASTE_MS = 5000;          // When there are too many events, so much goes at a time.

export class History {
  constructor() {
    this.chunks = new Map();    // id -> {entries, since: deltas since the last whole}
    this.marks = [];            // {at, text}: where the picture was broken.
    this.weight = 0;
    this.horizon = -Infinity;   // Before this nothing is kept.
    this.clockwork = new Clockwork();
    this.pruned = -Infinity;
  }

  whole(chunk_static, now) {
    const at = this.clockwork.momentOf(chunk_static.chunk, chunk_static.tick, now);
    this.#push(chunk_static.chunk, { at, whole: chunk_static });
    this.prune(now);
  }

  // `snapshot` gives the chunk as it is after `delta`.
  delta(delta, now, snapshot) {
    const at = this.clockwork.momentOf(delta.chunk, delta.tick, now);
    const chunk = this.#push(delta.chunk, { at, delta });
    if (++chunk.since >= WHOLE_EVERY) this.#push(delta.chunk, { at, whole: snapshot(delta.chunk), again: true });
    this.prune(now);
  }

  // From now on nothing is received of these.
  ended(ids, now) {
    for (const id of ids) {
      if (!this.chunks.has(id)) continue;
      this.#push(id, { at: now, end: true });
      this.clockwork.forget(id);
    }
  }

  mark(text, now) {
    this.marks.push({ at: now, text });
    if (this.marks.length > MARKS_MAX) this.marks.shift();
  }

  // The first moment that can be shown; null when there is nothing.
  start(now) {
    let first = Infinity;
    for (const { entries } of this.chunks.values()) first = Math.min(first, entries[0].at);
    return first === Infinity ? null : Math.max(first, this.horizon, now - KEPT_MS);
  }

  // Entries of a chunk from the last whole at or before `moment` on, or from the first.
  static startOf(entries, moment) {
    for (let index = lastAt(entries, moment); index > 0; index--) if (entries[index].whole) return index;
    return 0;
  }

  prune(now) {
    if (now - this.pruned < PRUNE_EVERY_MS) return;
    this.pruned = now;
    this.#cut(now - KEPT_MS);
    for (let moment = now - KEPT_MS; this.weight > WEIGHT_MAX && moment < now; moment += HASTE_MS) this.#cut(moment);
  }

  #cut(moment) {
    this.horizon = Math.max(this.horizon, moment);
    this.marks = this.marks.filter((mark) => mark.at >= this.horizon);
    for (const [id, { entries }] of this.chunks) {
      const dropped = entries.splice(0, History.startOf(entries, this.horizon));
      for (const entry of dropped) this.weight -= weightOf(entry);
      const last = entries.at(-1);
      if (last.end && last.at < this.horizon) {
        for (const entry of entries) this.weight -= weightOf(entry);
        this.chunks.delete(id);
      }
    }
  }

  #push(id, entry) {
    let chunk = this.chunks.get(id);
    if (!chunk) this.chunks.set(id, chunk = { entries: [], since: 0 });
    chunk.entries.push(entry);
    this.weight += weightOf(entry);
    if (entry.whole) chunk.since = 0;
    return chunk;
  }
}

function weightOf({ whole, delta }) { return 1 + (delta?.events.length ?? whole?.entities.length ?? 0); }

// The index of the last entry at or before `moment`, -1 when there is none.
function lastAt(entries, moment) {
  let low = 0, high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle].at <= moment) low = middle + 1; else high = middle;
  }
  return low - 1;
}
