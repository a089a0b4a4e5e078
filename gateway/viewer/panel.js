// What is written beside the picture: the state of the stream, who is here, and what was said.

import { colourOf } from "./draw.js";

const SAID_MAX = 12;
const STATES = { connecting: "connecting", live: "live", lost: "reconnecting" };
const byId = (id) => document.getElementById(id);

export class Panel {
  constructor(world, camera) {
    this.world = world;
    this.camera = camera;
    this.version = -1;
    byId("toggle").addEventListener("click", () => this.#open(byId("panel").dataset.open === "false"));
    this.#open(!matchMedia("(max-width: 640px)").matches);
    byId("nearer").addEventListener("click", () => camera.zoom(1.4));
    byId("farther").addEventListener("click", () => camera.zoom(1 / 1.4));
  }

  state(name) {
    byId("state").dataset.state = name;
    byId("state").textContent = STATES[name];
  }

  place(x, y, chunk) {
    byId("place").textContent = `chunk ${chunk} · ${Math.floor(x)}, ${Math.floor(y)}`;
  }

  // The list is made again only when somebody came or went.
  refresh() {
    if (this.version === this.world.version) return;
    this.version = this.world.version;
    const people = [...this.world.agents.values()].sort((a, b) => a.name.localeCompare(b.name));
    byId("count").textContent = people.length;
    byId("nobody").hidden = people.length > 0;
    byId("people").replaceChildren(...people.map((agent) => this.#person(agent)));
  }

  said(agent, text) {
    const line = document.createElement("li");
    const name = document.createElement("b");
    name.textContent = agent?.name ?? "somebody";
    line.append(name, ` ${text}`);
    byId("said").prepend(line);
    while (byId("said").children.length > SAID_MAX) byId("said").lastChild.remove();
  }

  #person(agent) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = `Look at ${agent.name}`;
    const dot = document.createElement("i");
    dot.style.background = colourOf(agent.id);
    const name = document.createElement("span");
    name.textContent = agent.name;
    const chunk = document.createElement("small");
    chunk.textContent = agent.chunk;
    button.append(dot, name, chunk);
    button.addEventListener("click", () => {
      const current = this.world.agents.get(agent.id);
      if (current) this.camera.lookAt(current.x + 0.5, current.y + 0.5);
    });
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  #open(open) {
    byId("panel").dataset.open = open;
    byId("toggle").setAttribute("aria-expanded", open);
  }
}
