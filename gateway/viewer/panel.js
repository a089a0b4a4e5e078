// What is written beside the picture: the state of the stream, where one looks, and who is here.
// `on`: {chosen(id, name)} when somebody in the list is.

import { colourOf } from "./sprites.js";

const LISTED_MAX = 150;         // More names than anybody reads, and a browser makes them in no time.
const REFRESH_MS = 400;
const STATES = { connecting: "connecting", live: "live", lost: "reconnecting", past: "looking back" };
const byId = (id) => document.getElementById(id);

export class Panel {
  constructor(camera, on) {
    this.on = on;
    this.shown = null;          // What is in the list: world, its version, who is followed.
    this.timer = 0;
    this.stream = "connecting";
    this.isPast = false;
    byId("toggle").addEventListener("click", () => this.#open(byId("panel").dataset.open === "false"));
    this.#open(!matchMedia("(max-width: 640px)").matches);
    byId("nearer").addEventListener("click", () => camera.zoom(1.4));
    byId("farther").addEventListener("click", () => camera.zoom(1 / 1.4));
  }

  state(name) {
    this.stream = name;
    this.#state();
  }

  // While one looks back the stream goes on; but what is seen is not live.
  past(isPast) {
    this.isPast = isPast;
    this.#state();
  }

  #state() {
    const name = this.isPast && this.stream === "live" ? "past" : this.stream;
    if (byId("state").dataset.state === name) return;
    byId("state").dataset.state = name;
    byId("state").textContent = STATES[name];
  }

  place(x, y, chunk) {
    byId("place").textContent = `chunk ${chunk} · ${Math.floor(x)}, ${Math.floor(y)}`;
  }

  following(name) {
    byId("following").hidden = name === null;
    byId("followed").textContent = name || "somebody";
  }

  // The list is made again only when somebody came or went, and not more often than one can read.
  refresh(world, followed) {
    if (this.shown?.world === world && this.shown.version === world.version && this.shown.followed === followed) return;
    this.wanted = { world, followed };
    if (!this.shown || this.shown.world !== world || this.shown.followed !== followed) this.#list();
    else this.timer ||= setTimeout(() => this.#list(), REFRESH_MS);
  }

  #list() {
    clearTimeout(this.timer);
    this.timer = 0;
    const { world, followed } = this.wanted;
    this.shown = { world, followed, version: world.version };
    const people = [...world.agents.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const listed = people.slice(0, LISTED_MAX);
    const focused = document.activeElement?.dataset?.agent;
    byId("count").textContent = people.length;
    byId("nobody").hidden = people.length > 0;
    byId("more").hidden = people.length <= LISTED_MAX;
    byId("more").textContent = `and ${people.length - LISTED_MAX} more`;
    byId("people").replaceChildren(...listed.map((agent) => this.#person(agent, agent.id === followed)));
    if (focused) byId("people").querySelector(`[data-agent="${CSS.escape(focused)}"]`)?.focus();
  }

  #person(agent, isFollowed) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = isFollowed ? `Stop following ${agent.name}` : `Follow ${agent.name}`;
    button.dataset.agent = agent.id;
    button.setAttribute("aria-pressed", isFollowed);
    const dot = document.createElement("i");
    dot.style.background = colourOf(agent.id);
    const name = document.createElement("span");
    name.textContent = agent.name;
    const chunk = document.createElement("small");
    chunk.textContent = agent.chunk;
    button.append(dot, name, chunk);
    button.addEventListener("click", () => this.on.chosen(agent.id, agent.name));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  #open(open) {
    byId("panel").dataset.open = open;
    byId("toggle").setAttribute("aria-expanded", open);
  }
}
