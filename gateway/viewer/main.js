// The live viewer: the chunks around one place, now or within the last two minutes.
// stream (network) -> live (a World) and memory (a History) -> ground, drawing, panel, minimap (sight);
// camera, follow and timebar say where and when one looks. Here they are only put together.

import { Breaks } from "./breaks.js";
import { Camera } from "./camera.js";
import { Drawing } from "./draw.js";
import { Follow } from "./follow.js";
import { Ground } from "./ground.js";
import { History } from "./history.js";
import { Link, readLink, writeLink } from "./link.js";
import { Minimap } from "./minimap.js";
import { Notes } from "./notes.js";
import { Panel } from "./panel.js";
import { Past } from "./past.js";
import { Stream } from "./stream.js";
import { Timebar } from "./timebar.js";
import { NOWHERE, chunksOf, nextView } from "./view.js";
import { CHUNK, World } from "./world.js";

const SETTLE_MS = 250;          // The view is asked for anew at most this often.
const LOOK_MS = 700;            // How often somebody who is followed and not seen is looked for.
const PICK_PIXELS = 18;         // How far from an agent a finger may point.
const PACES_MAX = 600;

const byId = (id) => document.getElementById(id);
const live = new World();
const memory = new History();
const past = new Past(memory);
const notes = new Notes();
const camera = new Camera(byId("world"), { changed: looked, moved: () => follow.stop(), picked });
const ground = new Ground(byId("ground"), camera);
const drawing = new Drawing(byId("world"), camera);
const follow = new Follow(camera, { changed: followed, told: (text) => notes.told(text) });
const panel = new Panel(camera, { chosen });
const minimap = new Minimap(byId("map"), camera);
const timebar = new Timebar(memory, { changed: shownMoment });
const link = new Link(() => writeLink(camera, follow.id), go);
const breaks = new Breaks({
  told: (text, title) => notes.told(text, title),
  broken: (chunks, text) => {
    for (const chunk of chunks) drawing.pulse(chunk, performance.now());
    memory.mark(text, performance.now());
    wake();
  },
});
const hearing = {
  state: (name) => {
    if (name === "lost") for (const each of [breaks, memory.clockwork]) each.lost(performance.now());
    panel.state(name);
  },
  ready: (chunks) => {
    memory.ended(live.retain(chunks), performance.now());
    for (const each of [breaks, memory.clockwork]) each.back(performance.now());
    heard();
  },
  show: (chunk) => {
    live.show(chunk);
    memory.whole(chunk, performance.now());
    heard();
  },
  delta: (delta) => {
    const outcome = live.apply(delta);
    if (outcome === "applied") remember(delta);
    else if (outcome !== "old") mend(delta.chunk);
    heard();
  },
  resync: ({ chunk, reason }) => breaks.resync(chunk ? [chunk] : [...live.chunks.keys()], reason),
};
const stream = new Stream(hearing);

function remember(delta) {
  memory.delta(delta, performance.now(), (id) => live.snapshot(id));
  for (const event of delta.events) {
    if (event.type === "said") notes.said(live.agents.get(event.id)?.name ?? "somebody", event.text);
  }
}

// What came does not follow what is here. That should not be; but if it is, it is said.
function mend(chunk) {
  if (!stream.chunks.includes(chunk) || stream.isBeginning) return;
  breaks.resync([chunk], "gap");
  stream.begin();
}

function shown() { return timebar.isPast ? past.world : live; }

// Something new is known of the present; who looks at the past does not see it.
function heard() {
  if (!timebar.isPast) refresh();
}

function refresh() {
  panel.refresh(shown(), follow.id);
  minimap.changed(shown());
  wake();
}

let view = NOWHERE;
let settling = 0;

function looked() {
  panel.place(camera.x, camera.y, `${Math.floor(camera.x / CHUNK)}:${Math.floor(camera.y / CHUNK)}`);
  const next = nextView(view, camera, innerWidth, innerHeight);
  if (isOther(next)) settling ||= setTimeout(watch, view === NOWHERE ? 0 : SETTLE_MS);
  link.changed();
  minimap.changed(shown());
  wake();
}

function isOther({ cx, cy, reach }) { return cx !== view.cx || cy !== view.cy || reach !== view.reach; }

function watch() {
  settling = 0;
  const next = nextView(view, camera, innerWidth, innerHeight);
  if (!isOther(next)) return;
  view = next;
  stream.watch(chunksOf(view));
}

function chosen(id, name) {
  if (follow.id === id) follow.stop();
  else follow.start(id, name);
}

function picked(px, py) {
  const world = shown(), now = timebar.moment ?? performance.now();
  const reach = Math.max(PICK_PIXELS, camera.scale * 0.8);
  let nearest = null;
  for (const agent of world.agents.values()) {
    const cell = world.at(agent, now);
    const at = camera.toPixel(cell.x + 0.5, cell.y + 0.5);
    const far = Math.hypot(at.x - px, at.y - py);
    if (far < (nearest?.far ?? reach)) nearest = { agent, far };
  }
  if (nearest) follow.start(nearest.agent.id, nearest.agent.name);
}

function followed(id) {
  panel.following(id === null ? null : follow.name);
  link.changed();
  refresh();
}

function shownMoment() {
  if (!timebar.isPast) past.leave();
  panel.past(timebar.isPast);
  notes.show(timebar.moment);
  refresh();
}

// To where a link leads.
function go({ x, y, zoom, agent }) {
  if (agent) follow.start(agent, "", true); else follow.stop();
  const isPlace = x !== undefined;
  camera.lookAt(isPlace ? x + 0.5 : camera.x, isPlace ? y + 0.5 : camera.y, zoom);
  follow.look(shown());
}

// Frames are drawn while something moves, and not one more.
let isAsleep = true;
let frames = 0;
const paces = [];               // Milliseconds of script that the last frames took.

function wake() {
  if (isAsleep) { isAsleep = false; requestAnimationFrame(frame); }
}

function frame() {
  const now = performance.now();
  const moment = timebar.step(now);
  if (moment !== null) past.seek(moment);
  const world = shown();
  const isLed = follow.step(world, moment ?? now);
  const isPainting = ground.frame(world, now);
  drawing.frame(world, moment ?? now, follow.id);
  if (moment !== null) panel.refresh(world, follow.id);
  const isMoving = moment === null ? live.isStirring(now) : timebar.isPlaying;
  frames++;
  paces[frames % PACES_MAX] = performance.now() - now;
  if (isMoving || isLed || isPainting || drawing.isPulsing) requestAnimationFrame(frame);
  else isAsleep = true;
}

function resize() {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  ground.resize(ratio);
  drawing.resize(ratio);
  looked();
}

function pressed(event) {
  if (event.key === "Escape") {
    if (follow.id !== null) follow.stop(); else timebar.live();
  } else if (event.key === " " && !event.target.closest("button, input, a")) {
    event.preventDefault();
    timebar.toggle();
  }
}

async function copied() {
  const isCopied = await link.copy();
  byId("copy").textContent = isCopied ? "Copied" : "Not copied";
  setTimeout(() => { byId("copy").textContent = "Copy link"; }, 1500);
}

addEventListener("resize", resize);
addEventListener("keydown", pressed);
byId("home").addEventListener("click", () => { follow.stop(); camera.fit(); camera.lookAt(CHUNK / 2, CHUNK / 2); });
byId("unfollow").addEventListener("click", () => follow.stop());
byId("copy").addEventListener("click", copied);
setInterval(() => { follow.look(shown()); if (timebar.isPast) notes.show(timebar.moment); }, LOOK_MS);

camera.fit();
go({ x: Math.floor(CHUNK / 2), y: Math.floor(CHUNK / 2), ...defined(readLink(location.hash)) });
resize();

function defined(fields) { return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)); }

// For the tests, and for whoever is curious in the console.
globalThis.tessera = { world: live, past, memory, camera, ground, stream, hearing, follow, timebar, minimap, breaks, frames: () => frames, paces };
