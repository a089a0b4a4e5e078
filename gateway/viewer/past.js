// A moment of the last two minutes, shown again by the code that shows the present: a World, on a
// clock that is moved by hand. It shows what was received up to that moment, and nothing else.

import { History } from "./history.js";
import { World } from "./world.js";

const LEAD_MS = 8000;   // Begun so much earlier, so that glides and bubbles are as they were.

export class Past {
  constructor(history) {
    this.history = history;
    this.moment = 0;            // What is shown, by the page's clock.
    this.clock = 0;             // Runs up to it, from entry to entry.
    this.world = new World(() => this.clock);
    this.cursors = null;        // chunk id -> {entries' first entry, index of the next entry}
  }

  // Show `moment`. Going on is cheap; going back begins anew from whole chunks.
  seek(moment) {
    if (!this.cursors || moment < this.moment || moment - this.moment > LEAD_MS) this.#begin(moment);
    const due = [];
    for (const [id, { entries }] of this.history.chunks) {
      let index = this.#cursorOf(id, entries, moment);
      for (; index < entries.length && entries[index].at <= moment; index++) due.push({ id, entry: entries[index] });
      this.cursors.set(id, { entries, next: index, after: entries[index - 1] });
    }
    due.sort((a, b) => a.entry.at - b.entry.at);  // Stable: a chunk's own order stays.
    for (const { id, entry } of due) {
      this.clock = Math.max(this.clock, entry.at);
      this.#tell(id, entry);
    }
    this.moment = this.clock = moment;
  }

  leave() {
    this.cursors = null;
    this.world.clear();
  }

  #begin(moment) {
    this.world.clear();
    this.clock = -Infinity;
    this.cursors = new Map();
    for (const [id, { entries }] of this.history.chunks) {
      this.cursors.set(id, { entries, next: History.startOf(entries, moment - LEAD_MS), after: undefined });
    }
  }

  // Entries are dropped at the front while time goes on, so an index alone would not do.
  #cursorOf(id, entries, moment) {
    const cursor = this.cursors.get(id);
    if (!cursor || cursor.entries !== entries) return History.startOf(entries, moment);
    if (!cursor.after || entries[cursor.next - 1] === cursor.after) return cursor.next;
    const index = entries.lastIndexOf(cursor.after);
    return index >= 0 ? index + 1 : 0;
  }

  #tell(id, { whole, delta, end, again }) {
    if (end) this.world.drop(id);
    else if (delta) this.world.apply(delta);
    // A whole that was made here says nothing new, unless it is where showing begins.
    else if (!again || !this.world.chunks.has(id)) this.world.show(whole);
  }
}
