// How many shards there are, are wanted, and how far a change is; and what the last one cost.
// `on`: {reshard(count)}.

import { byId, make, shown } from "./elements.js";

export class Reshard {
  constructor(on) {
    this.isTyped = false;       // What a person writes there is not overwritten.
    byId("shard-count").addEventListener("input", () => { this.isTyped = true; });
    byId("reshard").addEventListener("submit", (event) => {
      event.preventDefault();
      on.reshard(byId("shard-count").valueAsNumber);
    });
  }

  asked() { this.isTyped = false; }

  show(topology) {
    const { epoch, shard_count, slots, shards } = topology;
    const agents = slots.reduce((sum, slot) => sum + (slot.agents ?? 0), 0);
    const chunks = slots.reduce((sum, slot) => sum + (slot.chunks ?? 0), 0);
    byId("summary").textContent = `${shard_count} in force (epoch ${epoch}) · ${shards.length} processes · ${shown(chunks)} chunks · ${shown(agents)} agents`;
    if (!this.isTyped) byId("shard-count").value = topology.wanted?.shard_count ?? shard_count;
    const said = progressOf(topology);
    byId("progress").hidden = !said;
    if (byId("progress").textContent !== said) byId("progress").textContent = said;
    this.#pauses(slots);
  }

  #pauses(slots) {
    const latest = Math.max(...slots.map(({ moved }) => moved?.epoch ?? -1));
    const rows = slots.filter(({ moved }) => moved && moved.epoch === latest);
    byId("pauses").hidden = rows.length === 0;
    byId("no-pauses").hidden = rows.length > 0;
    byId("pauses").tBodies[0].replaceChildren(...rows.map(({ slot, moved }) => make("tr", {},
      make("th", { scope: "row", text: `Slot ${slot}` }), number(shown(moved.chunks)), number(`${shown(moved.p50_ms)} ms`),
      number(`${shown(moved.p99_ms)} ms`), number(`${shown(moved.max_ms)} ms`))));
  }
}

// What is still to happen, "" when nothing is.
export function progressOf({ epoch, wanted, slots }) {
  if (wanted) {
    const held = slots.filter(({ slot, shard }) => shard !== null && slot < wanted.shard_count).length;
    return `${wanted.shard_count} shards are wanted (epoch ${wanted.epoch}): ${held} of ${wanted.shard_count} slots are held.`;
  }
  const leaving = slots.reduce((sum, slot) => sum + (slot.leaving ?? 0), 0);
  const behind = slots.filter((slot) => slot.in_force && slot.shard !== null && slot.epoch !== null && slot.epoch < epoch).length;
  if (leaving) return `Epoch ${epoch} is in force: ${leaving} chunks are yet to be handed over.`;
  return behind ? `Epoch ${epoch} is in force: ${behind} slots are yet to go by it.` : "";
}

function number(text) { return make("td", { class: "n", text }); }
