// The map in the corner: which chunks are awake, which were seen from here, and what the window
// shows of them. Where something happens it learns from /v1/chunks, every few seconds while it is seen.
// Of a shard with very many awake chunks that names the fullest; it says so when there are more.

import { colourOfGround } from "./terrain.js";
import { CHUNK } from "./world.js";

const ASK_MS = 4000;            // An answer later than the next question takes a connection from the stream.
const DRAW_MS = 120;            // At most this often, however much moves.
const REACH_MIN = 2;            // Chunks to each side that are shown, at least and
const REACH_MAX = 12;           // at most: beyond that awake chunks are dots at the rim.
const THUMB = 10;               // Pixels a side of a chunk's ground.
const GOLD = "232 193 112";
const GOLD_ON_LIGHT = "154 107 18";
const THUMBS_MAX = 900;         // Of places seen before, 400 bytes each.

export class Minimap {
  constructor(canvas, camera) {
    this.canvas = canvas;
    this.camera = camera;
    this.awake = new Map();     // chunk id -> agents, as the server named them
    this.total = 0;
    this.thumbs = new Map();    // chunk id -> {generation, canvas}, oldest first
    this.reach = REACH_MIN;
    this.drawn = -Infinity;
    this.timer = 0;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => this.thumbs.clear());
    canvas.addEventListener("click", (event) => this.#click(event));
    addEventListener("visibilitychange", () => { if (!document.hidden) this.#ask(); });
    this.#ask();
    setInterval(() => this.#ask(), ASK_MS);
  }

  // Draw soon.
  changed(world) {
    this.world = world;
    this.timer ||= setTimeout(() => this.draw(), Math.max(0, this.drawn + DRAW_MS - performance.now()));
  }

  async #ask() {
    if (document.hidden || !this.canvas.clientWidth) return;
    try {
      const response = await fetch("/v1/chunks", { signal: AbortSignal.timeout(ASK_MS) });
      if (!response.ok) return;
      const { chunks, active_chunks } = await response.json();
      this.awake = new Map(chunks.map(({ chunk, agents }) => [chunk, agents]));
      this.total = active_chunks;
    } catch {
      return;  // What is known stays.
    }
    this.canvas.setAttribute("aria-label", `Map. ${this.#inWords()}`);
    this.canvas.title = this.#inWords();
    this.changed(this.world);
  }

  #inWords() {
    const fullest = [...this.awake].slice(0, 5).map(([chunk, agents]) => `${chunk} with ${agents}`).join(", ");
    const isPart = this.total > this.awake.size;
    const chunks = this.total === 1 ? "1 chunk is awake" : `${this.total.toLocaleString()} chunks are awake`;
    return `${chunks}${isPart ? `, the ${this.awake.size} fullest are shown` : ""}${fullest && `: ${fullest}`}.`;
  }

  draw() {
    this.timer = 0;
    this.drawn = performance.now();
    const side = this.canvas.clientWidth;
    if (!side || !this.world) return;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    if (this.canvas.width !== Math.round(side * ratio)) this.canvas.width = this.canvas.height = Math.round(side * ratio);
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, side, side);
    this.reach = reachOf(this.awake.keys(), this.camera);
    const gold = this.dark.matches ? GOLD : GOLD_ON_LIGHT;
    const size = side / (2 * this.reach + 1);
    const place = (x, y) => [side / 2 + (x - this.camera.x) / CHUNK * size, side / 2 + (y - this.camera.y) / CHUNK * size];
    this.#learn();
    for (const [id, { canvas }] of this.thumbs) {
      const [x, y] = place(...cornerOf(id));
      if (x > -size && y > -size && x < side && y < side) pen.drawImage(canvas, x, y, size + 0.5, size + 0.5);
    }
    for (const [id, agents] of this.shown()) this.#glow(pen, place(...cornerOf(id)), size, side, agents, gold);
    pen.fillStyle = this.dark.matches ? "#fff" : "#24221d";
    for (const agent of this.world.agents.values()) {
      const [x, y] = place(agent.x, agent.y);
      pen.fillRect(x - 0.75, y - 0.75, 1.5, 1.5);
    }
    const { x, y } = this.camera.toCell(0, 0);
    const [left, top] = place(x, y);
    pen.strokeStyle = this.dark.matches ? "rgb(255 255 255 / 75%)" : "rgb(0 0 0 / 65%)";
    pen.lineWidth = 1;
    pen.strokeRect(left, top, side - 2 * left, side - 2 * top);
  }

  // What the server named, and chunks that this page watches with somebody in them.
  shown() {
    const known = new Map(this.awake);
    for (const { id, members } of this.world.chunks.values()) if (members.size) known.set(id, members.size);
    return known;
  }

  // An awake chunk; one that is too far for the map is a dot at its rim.
  #glow(pen, [x, y], size, side, agents, gold) {
    const strength = Math.min(1, 0.45 + agents / 20);
    pen.fillStyle = `rgb(${gold} / ${strength * 26}%)`;
    pen.strokeStyle = `rgb(${gold} / ${strength * 90}%)`;
    if (x > -size && y > -size && x < side && y < side) {
      pen.fillRect(x, y, size, size);
      pen.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
      return;
    }
    const dx = x + size / 2 - side / 2, dy = y + size / 2 - side / 2;
    const part = (side / 2 - 3) / Math.max(Math.abs(dx), Math.abs(dy));
    pen.beginPath();
    pen.arc(side / 2 + dx * part, side / 2 + dy * part, 2, 0, 2 * Math.PI);
    pen.fillStyle = pen.strokeStyle;
    pen.fill();
  }

  #learn() {
    for (const chunk of this.world.chunks.values()) {
      const { id, generation } = chunk;
      if (this.thumbs.get(id)?.generation === generation) continue;
      this.thumbs.set(id, { generation, canvas: paintThumb(chunk, this.dark.matches) });
    }
    while (this.thumbs.size > THUMBS_MAX) this.thumbs.delete(this.thumbs.keys().next().value);
  }

  #click(event) {
    const side = this.canvas.clientWidth;
    const cells = (2 * this.reach + 1) * CHUNK / side;
    this.camera.on.moved();
    this.camera.lookAt(this.camera.x + (event.offsetX - side / 2) * cells, this.camera.y + (event.offsetY - side / 2) * cells);
  }
}

// How far the map goes: as far as what is awake, within reason.
export function reachOf(ids, { x, y }) {
  let reach = REACH_MIN;
  for (const id of ids) {
    const [left, top] = cornerOf(id);
    const far = Math.ceil(Math.max(Math.abs(left + CHUNK / 2 - x), Math.abs(top + CHUNK / 2 - y)) / CHUNK);
    if (far <= REACH_MAX) reach = Math.max(reach, far);
  }
  return reach;
}

function cornerOf(id) { return id.split(":").map((part) => part * CHUNK); }

function paintThumb(chunk, dark) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = THUMB;
  const pen = canvas.getContext("2d");
  const step = CHUNK / THUMB;
  for (let y = 0; y < THUMB; y++) {
    for (let x = 0; x < THUMB; x++) {
      pen.fillStyle = colourOfGround(chunk.terrain[y * step + 2][x * step + 2], dark);
      pen.fillRect(x, y, 1, 1);
    }
  }
  return canvas;
}
