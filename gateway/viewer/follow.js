// Following an agent: the camera is led to where it is drawn, from chunk to chunk. When it is in
// no chunk that is watched, the server is asked where it is.
// `on`: {changed(id or null), told(text)}: who is followed, and what there is to say about it.

import { CHUNK } from "./world.js";

const ASK_AGAIN_MS = 4000;
const ANSWER_MS_MAX = 4000;      // A question that hangs would take a connection from the stream.
const PATIENCE_MS = 1200;       // It may only be between two chunks.
const AGENT_ID = /^[0-9A-Za-z_-]{1,64}$/;

export class Follow {
  constructor(camera, on) {
    this.camera = camera;
    this.on = on;
    this.id = null;
    this.name = "";
    this.missing = 0;       // Since when it is not seen; 0: it is.
    this.asked = -Infinity;
  }

  // `isSought`: it is not expected in sight, so the server is asked at once.
  start(id, name = "", isSought = false) {
    if (!AGENT_ID.test(id)) return;
    this.id = id;
    this.name = name;
    this.missing = isSought ? -Infinity : 0;
    this.asked = -Infinity;
    this.camera.isLed = true;
    this.camera.led = null;
    this.on.changed(id);
  }

  stop() {
    if (this.id === null) return;
    this.id = null;
    this.camera.isLed = false;
    this.on.changed(null);
  }

  // Lead the camera one step. True: it is on its way.
  step(world, now) {
    if (this.id === null) return false;
    const agent = world.agents.get(this.id);
    if (!agent) return false;
    if (this.missing || this.name !== agent.name) {
      this.missing = 0;
      this.name = agent.name;
      this.on.changed(this.id);
    }
    const { x, y } = world.at(agent, now);
    return this.camera.lead(x + 0.5, y + 0.5, performance.now());
  }

  // Called now and then: look for it where the server says it is.
  async look(world) {
    const now = performance.now();
    if (this.id === null || world.agents.has(this.id)) return;
    this.missing ||= now;
    if (now - this.missing < PATIENCE_MS || now - this.asked < ASK_AGAIN_MS) return;
    this.asked = now;
    const id = this.id;
    const answer = await askFor(id);
    if (id !== this.id || world.agents.has(id)) return;
    if (answer === null) { this.stop(); this.on.told("There is no such agent in this world."); return; }
    if (!answer) return;  // Asked again later.
    if (!this.name) { this.name = answer.name; this.on.changed(id); }
    if (this.told !== answer.online) this.on.told(answer.online ? `Looking for ${answer.name}.` : `${answer.name} is away, and followed once it is back.`);
    this.told = answer.online;
    this.#go(answer);
  }

  #go({ chunk, position }) {
    const [cx, cy] = chunk.split(":").map(Number);
    const { x, y } = position ?? { x: (cx + 0.5) * CHUNK, y: (cy + 0.5) * CHUNK };
    const isThere = Math.floor(this.camera.x / CHUNK) === cx && Math.floor(this.camera.y / CHUNK) === cy;
    if (!isThere) this.camera.lookAt(x + 0.5, y + 0.5);
  }
}

// What the server says; null: there is nobody of that id; undefined: it does not say.
async function askFor(id) {
  try {
    const response = await fetch(`/v1/agents/${encodeURIComponent(id)}`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    if (response.status === 404) return null;
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}
