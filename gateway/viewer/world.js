// What the stream has told: chunks, who stands where, and how each glides to where it is next.
// It knows nothing of drawing or of the network.

export const CHUNK = 50;
export const TICK_MS = 200;
// A delta arrives a little late or early; a glide that is this much longer than a tick has no stops.
const GLIDE_MS = TICK_MS * 1.15;
const BUBBLE_MS = 7000;

export class World {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.chunks = new Map();   // id -> {id, cx, cy, generation, tick, terrain, members: Set of ids}
    this.agents = new Map();   // id -> {id, name, chunk, x, y, fromX, fromY, since, bubble}
    this.version = 0;          // Grows whenever somebody comes, goes, or a chunk changes.
  }

  // The whole of a chunk. Who is known already glides on; who is not named is gone.
  show(chunk_static) {
    const [cx, cy] = chunk_static.chunk.split(":").map(Number);
    const known = this.chunks.get(chunk_static.chunk);
    const chunk = {
      id: chunk_static.chunk, cx, cy, generation: chunk_static.generation, tick: chunk_static.tick,
      terrain: chunk_static.terrain, members: new Set(chunk_static.entities.map((entity) => entity.id)),
    };
    for (const id of known?.members ?? []) {
      if (!chunk.members.has(id) && this.agents.get(id)?.chunk === chunk.id) this.agents.delete(id);
    }
    this.chunks.set(chunk.id, chunk);
    for (const entity of chunk_static.entities) this.#place(entity, chunk.id);
    this.version++;
  }

  // Returns false when the delta does not follow: then the stream must be opened anew.
  apply(delta) {
    const chunk = this.chunks.get(delta.chunk);
    if (!chunk || delta.prev_tick > chunk.tick || delta.tick <= chunk.tick) return false;
    chunk.tick = delta.tick;
    for (const event of delta.events) this.#happen(event, chunk);
    return true;
  }

  // Keep only the chunks in view.
  retain(ids) {
    for (const id of [...this.chunks.keys()]) {
      if (ids.includes(id)) continue;
      for (const member of this.chunks.get(id).members) {
        if (this.agents.get(member)?.chunk === id) this.agents.delete(member);
      }
      this.chunks.delete(id);
    }
    this.version++;
  }

  // Where an agent is drawn at this moment, in cells.
  at(agent, now) {
    const part = Math.min(1, (now - agent.since) / GLIDE_MS);
    return { x: agent.fromX + (agent.x - agent.fromX) * part, y: agent.fromY + (agent.y - agent.fromY) * part };
  }

  // Whether anything is still moving or fading.
  isStirring(now) {
    for (const agent of this.agents.values()) {
      if (now - agent.since < GLIDE_MS || (agent.bubble && now < agent.bubble.until)) return true;
    }
    return false;
  }

  #happen(event, chunk) {
    const agent = this.agents.get(event.id);
    switch (event.type) {
      case "entered":
        chunk.members.add(event.id);
        this.#place(event, chunk.id);
        this.version++;
        break;
      case "moved":
        if (agent) this.#glide(agent, event.x, event.y);
        break;
      case "left":
        chunk.members.delete(event.id);
        // It may have been seen entering the next chunk before it was seen leaving this one.
        if (agent?.chunk === chunk.id) this.agents.delete(event.id);
        this.version++;
        break;
      case "said":
        if (agent) agent.bubble = { text: event.text, since: this.now(), until: this.now() + BUBBLE_MS };
        break;
    }
  }

  #place({ id, name, x, y }, chunk) {
    const agent = this.agents.get(id);
    if (agent) {
      agent.chunk = chunk;
      agent.name = name ?? agent.name;
      if (agent.x !== x || agent.y !== y) this.#glide(agent, x, y);
    } else {
      this.agents.set(id, { id, name: name ?? id, chunk, x, y, fromX: x, fromY: y, since: -Infinity, bubble: null });
    }
  }

  #glide(agent, x, y) {
    const here = this.at(agent, this.now());
    const far = Math.abs(x - here.x) + Math.abs(y - here.y) > 4;
    agent.fromX = far ? x : here.x;
    agent.fromY = far ? y : here.y;
    agent.since = this.now();
    agent.x = x;
    agent.y = y;
  }
}
