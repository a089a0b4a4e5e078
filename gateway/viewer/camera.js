// Where we look from: a centre in cells and a scale in pixels a cell, moved by hand.
// Drag, wheel, pinch, double click and keys; `changed` is called after each.

const SCALE_MIN = 3;
const SCALE_MAX = 48;
const SCALE_FIT_MIN = 10;
const KEY_CELLS = 4;

export class Camera {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.x = 25;
    this.y = 25;
    this.scale = 14;
    this.pointers = new Map();
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("dblclick", (event) => this.zoom(1.6, event.clientX, event.clientY));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  // The chunk is fitted to the window, but on a phone not so small that names could not be read.
  fit() {
    this.scale = clamp(Math.min(innerWidth, innerHeight) / 56, SCALE_FIT_MIN, SCALE_MAX);
  }

  lookAt(x, y) {
    this.x = x;
    this.y = y;
    this.changed();
  }

  // Zoom by `factor`, keeping the cell under (px, py) where it is.
  zoom(factor, px = innerWidth / 2, py = innerHeight / 2) {
    const before = this.toCell(px, py);
    this.scale = clamp(this.scale * factor, SCALE_MIN, SCALE_MAX);
    const after = this.toCell(px, py);
    this.lookAt(this.x + before.x - after.x, this.y + before.y - after.y);
  }

  toCell(px, py) {
    return { x: this.x + (px - innerWidth / 2) / this.scale, y: this.y + (py - innerHeight / 2) / this.scale };
  }

  toPixel(x, y) {
    return { x: (x - this.x) * this.scale + innerWidth / 2, y: (y - this.y) * this.scale + innerHeight / 2 };
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  #move(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    const here = { x: event.clientX, y: event.clientY };
    this.pointers.set(event.pointerId, here);
    if (other) {
      this.zoom(distance(here, other) / Math.max(1, distance(last, other)), (here.x + other.x) / 2, (here.y + other.y) / 2);
    }
    const share = other ? 0.5 : 1;
    this.lookAt(this.x - (share * (here.x - last.x)) / this.scale, this.y - (share * (here.y - last.y)) / this.scale);
  }

  #wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX, event.clientY);
  }

  #key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) this.lookAt(this.x + step[0] * KEY_CELLS, this.y + step[1] * KEY_CELLS);
    else if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(0.8);
    else return;
    event.preventDefault();
  }
}

function clamp(value, low, high) { return Math.max(low, Math.min(high, value)); }
function distance(a, b) { return Math.hypot(a.x - b.x, a.y - b.y); }
