// When a tick was, by this page's clock: so that what arrives late, and in one piece after a
// reconnection, finds its place among what arrived in time. It knows only what it is told.

import { TICK_MS } from "./world.js";

// A world that falls behind makes later ticks later than was reckoned. It gives in by so much a tick,
const DRIFT = 0.02;
// and altogether when everything was late for so long: no reconnection, the world stood still.
const LATE_MS = 1000;
const LATE_FOR_MS = 1500;

export class Clockwork {
  constructor() {
    this.chunks = new Map();  // id -> {offset, tick, at, late: since when}
  }

  // The moment of `tick` of a chunk, of which something arrived `now`. Never goes back.
  momentOf(id, tick, now) {
    const known = this.chunks.get(id);
    if (!known) {
      this.chunks.set(id, { offset: now - tick * TICK_MS, tick, at: now, late: Infinity });
      return now;
    }
    const given = known.offset + Math.max(0, tick - known.tick) * TICK_MS * DRIFT;
    const arrived = now - tick * TICK_MS;
    known.late = arrived - given > LATE_MS ? Math.min(known.late, now) : Infinity;
    known.offset = now - known.late > LATE_FOR_MS ? arrived : Math.min(arrived, given);
    known.tick = tick;
    known.at = Math.min(now, Math.max(known.at, tick * TICK_MS + known.offset));
    return known.at;
  }

  forget(id) { this.chunks.delete(id); }
}
