// When something was, by this page's clock. What arrives, is: ticks are no clock, since a chunk
// that nobody stands in does not tick. But what was missed while the stream was lost arrives in one
// piece; that is laid out by its ticks over the time in which it was missed, and never before.

import { TICK_MS } from "./world.js";

const CATCH_UP_MS = 1000;       // So long after the stream is back, what arrives was missed.

export class Clockwork {
  constructor() {
    this.chunks = new Map();    // id -> {tick, at}
    this.since = null;          // When the stream was lost, for the last time.
    this.until = -Infinity;     // Before this it catches up.
  }

  lost(now) {
    if (this.since === null || now > this.until) this.since = now;
    this.until = Infinity;
  }

  back(now) {
    if (this.until === Infinity) this.until = now + CATCH_UP_MS;
  }

  // The moment of the delta at `tick` of a chunk, which arrived `now`. Never goes back.
  momentOf(id, tick, now) {
    const known = this.chunks.get(id);
    const at = known && now < this.until ? this.#reckoned(known, tick, now) : now;
    this.chunks.set(id, { tick, at });
    return at;
  }

  #reckoned(known, tick, now) {
    const reckoned = known.at + (tick - known.tick) * TICK_MS;
    return Math.min(now, Math.max(known.at, this.since, reckoned));
  }

  forget(id) { this.chunks.delete(id); }
}
