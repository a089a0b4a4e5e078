// The chunks that live, each in the colour of its slot. It draws, and says in words what is under
// the pointer; the list of slots has the rest.

import { colourOf, inkOn } from "./colours.js";
import { byId, make } from "./elements.js";

const CELL_MAX = 64;            // A world of one chunk should not fill the picture.
const NUMBER_MIN = 18;          // A smaller square has no room for its slot's number.

export class ChunkMap {
  constructor() {
    this.canvas = byId("map");
    this.chunks = [];
    this.frame = { left: 0, top: 0, size: 1, west: 0, north: 0 };
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX, event.offsetY));
    this.canvas.addEventListener("pointerleave", () => this.#say());
  }

  show(items, isPart) {
    this.chunks = items.map((item) => ({ ...item, at: item.chunk.split(":").map(Number) }));
    this.isPart = isPart;
    this.#say();
    this.#legend();
    this.draw();
  }

  draw() {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (!width || !height) return;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.frame = frameOf(this.chunks.map(({ at }) => at), width, height);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const { size } = this.frame, gap = size > 6 ? 1 : 0;
    pen.font = `600 ${Math.round(Math.min(14, size * 0.45))}px system-ui, sans-serif`;
    for (const { at, slot, agents } of this.chunks) {
      const [x, y] = this.#corner(at);
      pen.globalAlpha = agents ? 1 : 0.45;  // Where nobody is.
      pen.fillStyle = colourOf(slot);
      pen.fillRect(x + gap, y + gap, size - 2 * gap, size - 2 * gap);
      pen.globalAlpha = 1;
      if (size < NUMBER_MIN) continue;
      pen.fillStyle = inkOn(agents > 0);
      pen.fillText(slot, x + size / 2, y + size / 2);
    }
  }

  #corner([cx, cy]) { return [this.frame.left + (cx - this.frame.west) * this.frame.size, this.frame.top + (cy - this.frame.north) * this.frame.size]; }

  #point(x, y) {
    const cx = Math.floor((x - this.frame.left) / this.frame.size) + this.frame.west;
    const cy = Math.floor((y - this.frame.top) / this.frame.size) + this.frame.north;
    const found = this.chunks.find(({ at }) => at[0] === cx && at[1] === cy);
    if (found) byId("under").textContent = `Chunk ${found.chunk}: slot ${found.slot}, ${found.agents ?? "?"} agents, taken by ${found.shard || "nobody"}`;
    else this.#say();
  }

  #say() {
    const bySlot = countBySlot(this.chunks);
    const all = `${this.chunks.length.toLocaleString("en")} chunks${this.isPart ? ", and more" : ""}`;
    byId("under").textContent = all;
    const each = [...bySlot].map(([slot, count]) => `slot ${slot} has ${count}`).join(", ");
    this.canvas.setAttribute("aria-label", `Map of ${all}${each && `: ${each}`}.`);
  }

  #legend() {
    byId("legend").replaceChildren(...[...countBySlot(this.chunks)].map(([slot, count]) => {
      const swatch = make("i");
      swatch.style.setProperty("--slot", colourOf(slot));
      return make("li", {}, swatch, `Slot ${slot}: ${count}`);
    }));
  }
}

export function countBySlot(chunks) {
  const counts = new Map();
  for (const { slot } of chunks) counts.set(slot, (counts.get(slot) ?? 0) + 1);
  return new Map([...counts].sort(([one], [other]) => one - other));
}

// Where squares go, so that all `places` are in a picture of that size, in its middle.
export function frameOf(places, width, height) {
  if (!places.length) return { left: 0, top: 0, size: CELL_MAX, west: 0, north: 0 };
  let [west, east, north, south] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [cx, cy] of places) {
    [west, east] = [Math.min(west, cx), Math.max(east, cx)];
    [north, south] = [Math.min(north, cy), Math.max(south, cy)];
  }
  const across = east - west + 1, down = south - north + 1;
  const size = Math.min(CELL_MAX, (width - 16) / across, (height - 16) / down);
  return { left: (width - across * size) / 2, top: (height - down * size) / 2, size, west, north };
}
