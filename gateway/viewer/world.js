// What the stream has told: chunks, who stands where, and how each glides to where it is next.
// It knows nothing of drawing or of the network, and has no clock of its own: the past is a
// World too, on a clock that somebody moves by hand.

export const CHUNK = 50;
export const TICK_MS = 200;
// A delta arrives a little late or early; a glide that is this much longer than a tick has no stops.
const GLIDE_MS = TICK_MS * 1.15;
const STEP_CELLS = 4;           // Farther than this at once: it was out of sight, and catches up.
const CATCH_UP_MS_MAX = 900;
const CATCH_UP_CELLS_MAX = 60;  // Farther still, and it is simply there.
const CROSSING_MS = 3000;       // How long it stays drawn at a border that it has left.
const BUBBLE_MS = 7000;

export class World {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.chunks = new Map();   // id -> {id, cx, cy, generation, tick, terrain, members: id -> {x, y}}
    this.agents = new Map();   // id -> {id, kind, name, chunk, x, y, fromX, fromY, since, glide, leaves, bubble}
    this.crossing = new Set(); // Ids of those with `leaves`: left one chunk, not yet seen in the next.
    this.version = 0;          // Grows whenever somebody comes or goes, or a chunk does.
    this.grounds = 0;          // Grows whenever a chunk comes or goes.
  }

  // The whole of a chunk. Who is known already glides on; who is not named is gone. Over a border
  // somebody is in two chunks for some ticks, and is drawn where it was last heard of.
  show(chunk_static) {
    const id = chunk_static.chunk;
    const known = this.chunks.get(id);
    const [cx, cy] = id.split(":").map(Number);
    const members = new Map(chunk_static.entities.map((entity) => [entity.id, { x: entity.x, y: entity.y }]));
    const { generation, tick, terrain } = chunk_static;
    this.chunks.set(id, { id, cx, cy, generation, tick, terrain, members });
    for (const member of known?.members.keys() ?? []) if (!members.has(member)) this.#miss(member, id);
    for (const entity of chunk_static.entities) this.#place(entity, id);
    this.#changed();
  }

  // The chunk as a chunk_static would say it; who has left one chunk and is not in the next is in neither.
  snapshot(id) {
    const { generation, tick, terrain, members } = this.chunks.get(id);
    const entities = [];
    for (const [member, { x, y }] of members) {
      const { kind, name } = this.agents.get(member);
      entities.push({ id: member, kind, name, x, y });
    }
    return { chunk: id, generation, tick, terrain, entities };
  }

  // "applied", "old" (told before), "unknown" (no such chunk here), or "gap": something is missing.
  apply(delta) {
    const chunk = this.chunks.get(delta.chunk);
    if (!chunk) return "unknown";
    if (delta.tick <= chunk.tick) return "old";
    if (delta.prev_tick > chunk.tick) return "gap";
    chunk.tick = delta.tick;
    for (const event of delta.events) this.#happen(event, chunk);
    return "applied";
  }

  // Forget the chunks that are not among `ids`; returns which these were.
  retain(ids) {
    const gone = [...this.chunks.keys()].filter((id) => !ids.includes(id));
    for (const id of gone) this.drop(id);
    return gone;
  }

  drop(id) {
    const members = this.chunks.get(id)?.members.keys() ?? [];
    this.chunks.delete(id);
    for (const member of members) this.#miss(member, id);
    this.#changed();
  }

  clear() {
    this.chunks.clear();
    this.agents.clear();
    this.crossing.clear();
    this.#changed();
  }

  // Where an agent is drawn at this moment, in cells.
  at(agent, now) {
    const part = Math.max(0, Math.min(1, (now - agent.since) / agent.glide));
    return { x: agent.fromX + (agent.x - agent.fromX) * part, y: agent.fromY + (agent.y - agent.fromY) * part };
  }

  // Whether anything is still moving or fading. Also lets go of who never arrived.
  isStirring(now) {
    for (const id of this.crossing) if (now >= this.agents.get(id).leaves) this.#depart(id);
    if (this.crossing.size) return true;
    for (const agent of this.agents.values()) {
      if (now - agent.since < agent.glide || (agent.bubble && now < agent.bubble.until)) return true;
    }
    return false;
  }

  #happen(event, chunk) {
    const agent = this.agents.get(event.id);
    switch (event.type) {
      case "entered":
        chunk.members.set(event.id, { x: event.x, y: event.y });
        this.#place(event, chunk.id);
        this.version++;
        break;
      case "moved":
        if (!agent) break;
        chunk.members.set(event.id, { x: event.x, y: event.y });
        this.#place({ ...agent, x: event.x, y: event.y }, chunk.id);
        break;
      case "left":
        chunk.members.delete(event.id);
        // It may have been seen entering the next chunk before it was seen leaving this one.
        if (agent?.chunk !== chunk.id || this.#returns(agent)) break;
        if (event.to && this.chunks.has(event.to)) {
          agent.leaves = this.now() + CROSSING_MS;
          this.crossing.add(event.id);
        } else this.#depart(event.id);
        break;
      case "said":
        if (agent) agent.bubble = { text: event.text, since: this.now(), until: this.now() + BUBBLE_MS };
        break;
    }
  }

  // It is not in that chunk any more, and nobody said where it went.
  #miss(id, chunk) {
    const agent = this.agents.get(id);
    if (agent?.chunk === chunk && !this.#returns(agent)) this.#remove(id);
  }

  // Draw it where another chunk has it, if one does.
  #returns(agent) {
    for (const { id, members } of this.chunks.values()) {
      const there = members.get(agent.id);
      if (!there) continue;
      this.#place({ ...agent, ...there }, id);
      return true;
    }
    return false;
  }

  #changed() {
    this.version++;
    this.grounds++;
  }

  #depart(id) {
    this.#remove(id);
    this.version++;
  }

  #remove(id) {
    this.agents.delete(id);
    this.crossing.delete(id);
  }

  #place({ id, kind, name, x, y }, chunk) {
    const agent = this.agents.get(id);
    if (!agent) {
      this.agents.set(id, { id, kind, name: name ?? id, chunk, x, y, fromX: x, fromY: y, since: -Infinity, glide: GLIDE_MS, leaves: 0, bubble: null });
      return;
    }
    agent.chunk = chunk;
    agent.name = name ?? agent.name;
    agent.leaves = 0;
    this.crossing.delete(id);
    if (agent.x !== x || agent.y !== y) this.#glide(agent, x, y);
  }

  #glide(agent, x, y) {
    const now = this.now();
    const here = this.at(agent, now);
    const cells = Math.abs(x - here.x) + Math.abs(y - here.y);
    const jumps = cells > CATCH_UP_CELLS_MAX;
    agent.fromX = jumps ? x : here.x;
    agent.fromY = jumps ? y : here.y;
    agent.glide = cells > STEP_CELLS ? Math.min(CATCH_UP_MS_MAX, GLIDE_MS * (cells / STEP_CELLS)) : GLIDE_MS;
    agent.since = now;
    agent.x = x;
    agent.y = y;
  }
}
