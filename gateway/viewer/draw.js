// One frame: the chunks in view, who stands on them, their names and what they say.
// Everything is drawn from the world and the camera; nothing is remembered but pictures of ground.

import { CHUNK } from "./world.js";
import { paintTerrain, palette } from "./terrain.js";

const NAMES_FROM_SCALE = 9;
const FONT = "system-ui, sans-serif";
const FADE_MS = 600;

export class Drawing {
  constructor(canvas, world, camera) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", { alpha: false });
    this.world = world;
    this.camera = camera;
    this.grounds = new Map();  // chunk id -> {chunk, picture}
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => this.grounds.clear());
  }

  resize() {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    this.canvas.width = Math.round(innerWidth * ratio);
    this.canvas.height = Math.round(innerHeight * ratio);
    this.ratio = ratio;
  }

  frame(now) {
    const { pen, camera } = this;
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.fillStyle = palette(this.dark.matches).grout;
    pen.fillRect(0, 0, innerWidth, innerHeight);
    for (const chunk of this.world.chunks.values()) this.#ground(chunk);
    const seen = [];
    for (const agent of this.world.agents.values()) {
      const cell = this.world.at(agent, now);
      const at = camera.toPixel(cell.x + 0.5, cell.y + 0.5);
      const margin = camera.scale * 2;
      if (at.x > -margin && at.y > -margin && at.x < innerWidth + margin && at.y < innerHeight + margin) seen.push({ agent, at });
    }
    seen.sort((a, b) => a.at.y - b.at.y);
    for (const { agent, at } of seen) this.#agent(agent, at);
    if (camera.scale >= NAMES_FROM_SCALE) for (const { agent, at } of seen) this.#name(agent, at);
    for (const { agent, at } of seen) if (agent.bubble && now < agent.bubble.until) this.#bubble(agent.bubble, at, now);
  }

  #ground(chunk) {
    const { pen, camera } = this;
    const corner = camera.toPixel(chunk.cx * CHUNK, chunk.cy * CHUNK);
    const size = CHUNK * camera.scale;
    if (corner.x > innerWidth || corner.y > innerHeight || corner.x + size < 0 || corner.y + size < 0) return;
    let ground = this.grounds.get(chunk.id);
    if (ground?.chunk.terrain !== chunk.terrain) {
      ground = { chunk, picture: paintTerrain(chunk, this.dark.matches) };
      this.grounds.set(chunk.id, ground);
      for (const id of this.grounds.keys()) if (!this.world.chunks.has(id)) this.grounds.delete(id);
    }
    pen.imageSmoothingEnabled = camera.scale < 32;
    // Rounded outward, so that no hairline shows between neighbours.
    const x = Math.floor(corner.x), y = Math.floor(corner.y);
    pen.drawImage(ground.picture, x, y, Math.ceil(corner.x + size) - x, Math.ceil(corner.y + size) - y);
  }

  #agent(agent, at) {
    const { pen } = this;
    const size = Math.max(5, this.camera.scale * 0.82);
    pen.fillStyle = "rgb(0 0 0 / 35%)";
    tile(pen, at.x - size / 2 + 1, at.y - size / 2 + size * 0.14, size);
    pen.fillStyle = colourOf(agent.id);
    tile(pen, at.x - size / 2, at.y - size / 2, size);
    if (size < 12) return;
    pen.fillStyle = "rgb(0 0 0 / 75%)";
    pen.font = `600 ${size * 0.6}px ${FONT}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText([...agent.name][0].toUpperCase(), at.x, at.y + size * 0.04);
  }

  #name(agent, at) {
    const { pen, camera } = this;
    pen.font = `500 12px ${FONT}`;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    pen.lineWidth = 3;
    pen.strokeStyle = this.dark.matches ? "rgb(12 13 16 / 85%)" : "rgb(250 247 240 / 90%)";
    pen.fillStyle = this.dark.matches ? "#f2efe8" : "#24221d";
    const y = at.y + camera.scale * 0.5 + 2;
    pen.strokeText(agent.name, at.x, y);
    pen.fillText(agent.name, at.x, y);
  }

  #bubble(bubble, at, now) {
    const { pen, camera } = this;
    pen.font = `13px ${FONT}`;
    bubble.lines ??= wrap(pen, bubble.text, 190, 5);
    const width = Math.max(...bubble.lines.map((line) => pen.measureText(line).width)) + 20;
    const height = bubble.lines.length * 17 + 12;
    const x = at.x - width / 2, y = at.y - camera.scale * 0.6 - height - 6;
    pen.globalAlpha = Math.min(1, (now - bubble.since) / 150, (bubble.until - now) / FADE_MS);
    pen.fillStyle = "#fbf8f1";
    pen.beginPath();
    pen.roundRect(x, y, width, height, 9);
    pen.moveTo(at.x - 5, y + height - 0.5);
    pen.lineTo(at.x + 5, y + height - 0.5);
    pen.lineTo(at.x, y + height + 6);
    pen.fill();
    pen.fillStyle = "#24221d";
    pen.textAlign = "center";
    pen.textBaseline = "top";
    bubble.lines.forEach((line, number) => pen.fillText(line, at.x, y + 7 + number * 17));
    pen.globalAlpha = 1;
  }
}

// A colour that is the agent's own, bright enough on every ground.
export function colourOf(id) {
  let hash = 0;
  for (const letter of id) hash = (Math.imul(hash, 31) + letter.codePointAt(0)) >>> 0;
  return `hsl(${(hash % 36) * 10} 72% ${62 + (hash >> 8) % 3 * 5}%)`;
}

function tile(pen, x, y, size) {
  pen.beginPath();
  pen.roundRect(x, y, size, size, size * 0.28);
  pen.fill();
}

function wrap(pen, text, width, most) {
  const lines = [""];
  for (const word of text.replace(/\s+/g, " ").trim().split(" ")) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (pen.measureText(longer).width <= width || !lines.at(-1)) lines[lines.length - 1] = shorten(pen, longer, width);
    else if (lines.length < most) lines.push(shorten(pen, word, width));
    else { lines[lines.length - 1] = shorten(pen, `${longer}…`, width); break; }
  }
  return lines;
}

function shorten(pen, line, width) {
  if (pen.measureText(line).width <= width) return line;
  const letters = [...line];
  while (letters.length > 1 && pen.measureText(`${letters.join("")}…`).width > width) letters.pop();
  return `${letters.join("")}…`;
}
