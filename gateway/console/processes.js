// The shard processes: what each has, and which stand by or are about to end.

import { byId, make, shown } from "./elements.js";

export function showProcesses(shards) {
  byId("processes").hidden = shards.length === 0;
  byId("no-processes").hidden = shards.length > 0;
  byId("processes").tBodies[0].replaceChildren(...shards.map(({ shard, slots, chunks, draining }) => make("tr", {},
    make("td", {}, make("code", { text: shard })), make("td", { text: slots.join(", ") || "–" }),
    make("td", { class: "n", text: shown(chunks) }), make("td", { text: wordFor(slots, draining) }))));
}

function wordFor(slots, draining) {
  if (draining) return "draining";
  return slots.length ? "serves" : "stands by";
}
