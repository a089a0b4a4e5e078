// Where we look from: a centre in cells and a scale in pixels a cell.
// Moved by hand (drag, wheel, pinch, double click, keys), or led to somebody who is followed.
// `on`: {changed() after each move, moved() when a hand took it elsewhere, picked(px, py)}.

const SCALE_MIN = 3;
const SCALE_MAX = 48;
const SCALE_FIT_MIN = 10;
const KEY_CELLS = 4;
const STILL_PIXELS = 6;         // A pointer that moved less than this has pointed, not dragged.
const EASE_MS = 160;            // Led, it covers two thirds of the way in this time.
const LEAP_CELLS = 120;         // Farther than this it is there at once: nobody can look so fast.
const ARRIVED_CELLS = 0.004;

export class Camera {
  constructor(canvas, on) {
    this.canvas = canvas;
    this.on = on;
    this.x = 25;
    this.y = 25;
    this.scale = 14;
    this.isLed = false;         // Then zooming keeps the middle where it is.
    this.led = null;            // The time of the last step.
    this.pointers = new Map();
    this.travelled = 0;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("dblclick", (event) => this.zoom(1.6, event.clientX, event.clientY));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  // The chunk is fitted to the window, but on a phone not so small that names could not be read.
  fit() {
    this.scale = clamp(Math.min(innerWidth, innerHeight) / 56, SCALE_FIT_MIN, SCALE_MAX);
  }

  lookAt(x, y, scale = this.scale) {
    this.x = x;
    this.y = y;
    this.scale = clamp(scale, SCALE_MIN, SCALE_MAX);
    this.on.changed();
  }

  // One step towards (x, y), as much as the time since the last one gives. True: not there yet.
  lead(x, y, now) {
    const past = Math.min(100, now - (this.led ?? now - 16));
    this.led = now;
    const far = distance(this, { x, y });
    if (far < ARRIVED_CELLS) return false;
    const part = far > LEAP_CELLS ? 1 : 1 - Math.exp(-past / EASE_MS);
    this.lookAt(this.x + (x - this.x) * part, this.y + (y - this.y) * part);
    return true;
  }

  // Zoom by `factor`, keeping the cell under (px, py) where it is.
  zoom(factor, px = innerWidth / 2, py = innerHeight / 2) {
    if (this.isLed) [px, py] = [innerWidth / 2, innerHeight / 2];
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
    if (!this.pointers.size) this.travelled = 0;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  #up(event) {
    const isLast = this.pointers.delete(event.pointerId) && !this.pointers.size;
    if (isLast && this.travelled < STILL_PIXELS) this.on.picked(event.clientX, event.clientY);
  }

  #move(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    const here = { x: event.clientX, y: event.clientY };
    this.pointers.set(event.pointerId, here);
    this.travelled += distance(here, last) + (other ? STILL_PIXELS : 0);
    if (other) {
      this.zoom(distance(here, other) / Math.max(1, distance(last, other)), (here.x + other.x) / 2, (here.y + other.y) / 2);
    }
    if (this.travelled < STILL_PIXELS || (other && this.isLed)) return;
    if (this.isLed) this.on.moved();
    const share = other ? 0.5 : 1;
    this.lookAt(this.x - (share * (here.x - last.x)) / this.scale, this.y - (share * (here.y - last.y)) / this.scale);
  }

  #wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX, event.clientY);
  }

  #key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) {
      this.on.moved();
      this.lookAt(this.x + step[0] * KEY_CELLS, this.y + step[1] * KEY_CELLS);
    } else if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(0.8);
    else return;
    event.preventDefault();
  }
}

function clamp(value, low, high) { return Math.max(low, Math.min(high, value)); }
function distance(a, b) { return Math.hypot(a.x - b.x, a.y - b.y); }
