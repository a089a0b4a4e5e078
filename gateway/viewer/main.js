// The live viewer: the chunk one looks at and its neighbours, as they are now.
// Parts: stream (network) -> world (state) -> drawing and panel (sight); the camera says where.

import { Camera } from "./camera.js";
import { Drawing } from "./draw.js";
import { Panel } from "./panel.js";
import { Stream } from "./stream.js";
import { CHUNK, World } from "./world.js";

const REACH = 1;            // Chunks to each side of the one looked at: 9 in all, of 25 allowed.
const SETTLE_MS = 250;      // The view is asked for anew once the hand has come to rest.

const canvas = document.getElementById("world");
const world = new World();
const camera = new Camera(canvas, looked);
const drawing = new Drawing(canvas, world, camera);
const panel = new Panel(world, camera);
const stream = new Stream({
  state: (name) => { panel.state(name); wake(); },
  show: (chunk) => { world.show(chunk); panel.refresh(); wake(); },
  apply: (delta) => {
    const followed = world.apply(delta);
    for (const event of delta.events) if (event.type === "said") panel.said(world.agents.get(event.id), event.text);
    panel.refresh();
    wake();
    return followed;
  },
  resync: () => {},
});

let watched = "";
let settling = 0;
let frames = 0;

function looked() {
  const centre = `${Math.floor(camera.x / CHUNK)}:${Math.floor(camera.y / CHUNK)}`;
  panel.place(camera.x, camera.y, centre);
  clearTimeout(settling);
  if (centre !== watched) settling = setTimeout(() => watch(centre), watched ? SETTLE_MS : 0);
  wake();
}

function watch(centre) {
  watched = centre;
  const [cx, cy] = centre.split(":").map(Number);
  const chunks = [centre];
  for (let dy = -REACH; dy <= REACH; dy++) {
    for (let dx = -REACH; dx <= REACH; dx++) if (dx || dy) chunks.push(`${cx + dx}:${cy + dy}`);
  }
  world.retain(chunks);
  stream.watch(chunks);
  panel.refresh();
}

// Frames are drawn while something moves, and not one more.
let asleep = true;
function wake() {
  if (asleep) { asleep = false; requestAnimationFrame(frame); }
}

function frame(now) {
  drawing.frame(now);
  frames++;
  if (world.isStirring(now)) requestAnimationFrame(frame);
  else asleep = true;
}

addEventListener("resize", () => { drawing.resize(); wake(); });
document.getElementById("home").addEventListener("click", () => { camera.fit(); camera.lookAt(CHUNK / 2, CHUNK / 2); });

drawing.resize();
camera.fit();
camera.lookAt(CHUNK / 2, CHUNK / 2);

// For the tests, and for whoever is curious in the console.
globalThis.tessera = { world, camera, stream, frames: () => frames };
