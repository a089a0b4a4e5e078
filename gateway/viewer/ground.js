// The ground on a canvas of its own, behind everything that moves: drawn again only when the view
// changes. Chunks are painted one a frame, in the size that the zoom asks for, and fade in.

import { groutOf, paintTerrain } from "./terrain.js";
import { CHUNK } from "./world.js";

const SIZES = [4, 8, 16];       // Pixels a cell; the largest is enough for twice the usual zoom.
const FADE_MS = 240;

export class Ground {
  constructor(canvas, camera) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", { alpha: false });
    this.camera = camera;
    this.pictures = new Map();  // chunk id -> {generation, since, sizes: Map of cell size -> canvas}
    this.drawn = "";            // The view that is on the canvas.
    this.painted = 0;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => { this.pictures.clear(); this.drawn = ""; });
  }

  resize(ratio) {
    this.ratio = ratio;
    this.canvas.width = Math.round(innerWidth * ratio);
    this.canvas.height = Math.round(innerHeight * ratio);
    this.drawn = "";
  }

  // Draw what is in view, if that is not what is there. True: it is not finished, draw again soon.
  frame(world, now) {
    const { camera } = this;
    const view = `${camera.x} ${camera.y} ${camera.scale} ${world.grounds}`;
    if (view === this.drawn && world === this.world) return false;
    this.world = world;
    this.pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.pen.globalAlpha = 1;
    this.pen.fillStyle = groutOf(this.dark.matches);
    this.pen.fillRect(0, 0, innerWidth, innerHeight);
    this.pen.imageSmoothingEnabled = camera.scale * this.ratio < 32;
    let isBusy = false, mayPaint = true;
    for (const chunk of world.chunks.values()) {
      const place = this.#place(chunk);
      if (!place) continue;
      const picture = this.#picture(chunk, mayPaint, now);
      if (picture.isLacking) { isBusy = true; mayPaint = false; }
      if (picture.canvas) isBusy = this.#draw(picture, place, now) || isBusy;
    }
    this.#forget(world);
    this.drawn = isBusy ? "" : view;
    return isBusy;
  }

  // Rounded outward, so that no hairline shows between neighbours. Null: out of sight.
  #place(chunk) {
    const corner = this.camera.toPixel(chunk.cx * CHUNK, chunk.cy * CHUNK);
    const size = CHUNK * this.camera.scale;
    if (corner.x > innerWidth || corner.y > innerHeight || corner.x + size < 0 || corner.y + size < 0) return null;
    const x = Math.floor(corner.x), y = Math.floor(corner.y);
    return { x, y, width: Math.ceil(corner.x + size) - x, height: Math.ceil(corner.y + size) - y };
  }

  // The chunk's picture in the size wanted, or, until that is painted, in another.
  #picture(chunk, mayPaint, now) {
    let kept = this.pictures.get(chunk.id);
    if (kept?.generation !== chunk.generation) {
      kept = { generation: chunk.generation, since: kept ? -Infinity : now, sizes: new Map() };
      this.pictures.set(chunk.id, kept);
      mayPaint ||= kept.since === -Infinity;
    }
    const wanted = SIZES.find((size) => size >= this.camera.scale * this.ratio * 0.9) ?? SIZES.at(-1);
    const isLacking = !kept.sizes.has(wanted);
    if (isLacking && mayPaint) {
      if (!kept.sizes.size && kept.since !== -Infinity) kept.since = now;
      if (kept.sizes.size > 1) kept.sizes.clear();
      kept.sizes.set(wanted, paintTerrain(chunk, this.dark.matches, wanted));
      this.painted++;
    }
    return { canvas: kept.sizes.get(wanted) ?? [...kept.sizes.values()][0], since: kept.since, isLacking };
  }

  #draw({ canvas, since }, { x, y, width, height }, now) {
    const shown = Math.min(1, (now - since) / FADE_MS);
    this.pen.globalAlpha = Math.max(0, shown);
    this.pen.drawImage(canvas, x, y, width, height);
    return shown < 1;
  }

  #forget(world) {
    for (const id of this.pictures.keys()) if (!world.chunks.has(id)) this.pictures.delete(id);
  }
}
