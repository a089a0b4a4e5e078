// One frame of what moves: who stands where, names, what they say, and who is followed.
// Everything is drawn from a world and the camera; nothing is remembered but small pictures.

import { Sprites } from "./sprites.js";
import { CHUNK } from "./world.js";

const NAMES_FROM_SCALE = 9;
const TILE_MIN = 5;
const FONT = "system-ui, sans-serif";
const FADE_MS = 600;
const PULSE_MS = 2200;
const RING_PIXELS = 4;        // Between the followed one's tile and the ring around it.
const GOLD = "232 193 112";
const GOLD_ON_LIGHT = "154 107 18";

export class Drawing {
  constructor(canvas, camera) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.camera = camera;
    this.sprites = new Sprites();
    this.pulses = new Map();    // chunk id -> when it was shown anew
    this.dark = matchMedia("(prefers-color-scheme: dark)");
  }

  resize(ratio) {
    this.ratio = ratio;
    this.canvas.width = Math.round(innerWidth * ratio);
    this.canvas.height = Math.round(innerHeight * ratio);
  }

  // Let the border of a chunk glow for a moment: it was shown anew.
  pulse(chunk, now) { this.pulses.set(chunk, now); }

  get isPulsing() { return this.pulses.size > 0; }

  frame(world, now, followed) {
    const { pen, camera } = this;
    this.sprites.begin(this.ratio, this.dark.matches);
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, innerWidth, innerHeight);
    for (const [id, since] of this.pulses) this.#pulse(id, since, performance.now());
    const seen = this.#seen(world, now);
    const chosen = seen.find(({ agent }) => agent.id === followed);
    if (chosen) this.#ring(chosen);
    for (const one of seen) this.#tile(one);
    const hasNames = camera.scale >= NAMES_FROM_SCALE;
    for (const one of seen) if (one === chosen || hasNames) this.#name(one, one === chosen ? RING_PIXELS : 0);
    for (const { agent, x, y } of seen) {
      if (agent.bubble && now < agent.bubble.until) this.#bubble(agent.bubble, { x, y }, now);
    }
  }

  // Who is in sight, from the back to the front.
  #seen(world, now) {
    const { camera } = this;
    const margin = camera.scale * 2;
    const seen = [];
    for (const agent of world.agents.values()) {
      const cell = world.at(agent, now);
      const { x, y } = camera.toPixel(cell.x + 0.5, cell.y + 0.5);
      if (x > -margin && y > -margin && x < innerWidth + margin && y < innerHeight + margin) seen.push({ agent, x, y });
    }
    return seen.sort((a, b) => a.y - b.y);
  }

  get #gold() { return this.dark.matches ? GOLD : GOLD_ON_LIGHT; }

  get #size() { return Math.max(TILE_MIN, this.camera.scale * 0.82); }

  #tile({ agent, x, y }) {
    const size = this.#size * 1.5;
    this.pen.drawImage(this.sprites.tile(agent, this.#size).canvas, x - size / 2, y - size / 2, size, size);
  }

  #name({ agent, x, y }, lower) {
    const { canvas, width, height } = this.sprites.name(agent.name);
    const top = y + Math.max(this.#size * 0.6, this.camera.scale * 0.5) + lower;
    this.pen.drawImage(canvas, Math.round(x - width / 2), Math.round(top), width, height);
  }

  #ring({ x, y }) {
    const { pen } = this;
    pen.beginPath();
    pen.arc(x, y, this.#size * 0.75 + RING_PIXELS, 0, 2 * Math.PI);
    pen.fillStyle = `rgb(${this.#gold} / 16%)`;
    pen.fill();
    pen.lineWidth = 1.5;
    pen.strokeStyle = `rgb(${this.#gold} / 90%)`;
    pen.stroke();
  }

  #pulse(id, since, now) {
    const part = (now - since) / PULSE_MS;
    if (part >= 1) { this.pulses.delete(id); return; }
    const { pen, camera } = this;
    const [cx, cy] = id.split(":").map(Number);
    const { x, y } = camera.toPixel(cx * CHUNK, cy * CHUNK);
    const size = CHUNK * camera.scale;
    const glow = 1 - part;
    pen.lineWidth = 2;
    pen.strokeStyle = `rgb(${this.#gold} / ${38 * glow}%)`;
    pen.strokeRect(x + 1, y + 1, size - 2, size - 2);
    pen.fillStyle = `rgb(${this.#gold} / ${6 * glow}%)`;
    pen.fillRect(x, y, size, size);
  }

  #bubble(bubble, at, now) {
    const { pen, camera } = this;
    pen.font = `13px ${FONT}`;
    bubble.lines ??= wrap(pen, bubble.text, 190, 5);
    bubble.width ??= Math.max(...bubble.lines.map((line) => pen.measureText(line).width)) + 20;
    const { lines, width } = bubble;
    const height = lines.length * 17 + 12;
    const x = at.x - width / 2, y = at.y - camera.scale * 0.6 - height - 6;
    pen.globalAlpha = Math.max(0, Math.min(1, (now - bubble.since) / 150, (bubble.until - now) / FADE_MS));
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
    lines.forEach((line, number) => pen.fillText(line, at.x, y + 7 + number * 17));
    pen.globalAlpha = 1;
  }
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
