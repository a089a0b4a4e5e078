// What each slot said in the last minutes: for the charts. It knows nothing of elements.

export const KEPT = 90;         // Three minutes, at a look every two seconds.

export class Samples {
  constructor(kept = KEPT) {
    this.kept = kept;
    this.bySlot = new Map();    // slot -> [{agents, late}], the oldest first; null: nobody said.
  }

  // Take one look. A slot that is no longer there is forgotten.
  take(slots) {
    const there = new Set(slots.map(({ slot }) => slot));
    for (const slot of this.bySlot.keys()) if (!there.has(slot)) this.bySlot.delete(slot);
    for (const { slot, agents, lateness_p99_ms } of slots) {
      const samples = this.bySlot.get(slot) ?? [];
      samples.push({ agents, late: lateness_p99_ms });
      if (samples.length > this.kept) samples.shift();
      this.bySlot.set(slot, samples);
    }
  }

  of(slot, what) { return (this.bySlot.get(slot) ?? []).map((sample) => sample[what]); }

  clear() { this.bySlot.clear(); }
}

// The highest of all slots, so that their charts can be compared; at least `least`.
export function peak(samples, what, least) {
  let highest = least;
  for (const slot of samples.bySlot.keys()) for (const value of samples.of(slot, what)) highest = Math.max(highest, value ?? 0);
  return highest;
}
