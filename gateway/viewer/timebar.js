// The slider over the last two minutes: which moment is shown, and whether time goes on there.
// It decides nothing about what is shown: `on.changed()` says that something else is to be.

const byId = (id) => document.getElementById(id);
const LIVE_S = 0.4;             // This near to the end is the present.
const KEYS_S = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };

export class Timebar {
  constructor(history, on) {
    this.history = history;
    this.on = on;
    this.moment = null;         // The moment shown, by the page's clock; null: the present.
    this.isPlaying = true;
    this.before = 0;
    this.slider = byId("moment");
    this.slider.addEventListener("input", () => this.go(performance.now() + Number(this.slider.value) * 1000));
    this.slider.addEventListener("keydown", (event) => this.#key(event));
    byId("play").addEventListener("click", () => this.toggle());
    byId("now").addEventListener("click", () => this.live());
    setInterval(() => this.refresh(), 500);
  }

  get isPast() { return this.moment !== null; }

  go(moment) {
    const now = performance.now();
    const start = this.history.start(now) ?? now;
    if (now - moment < LIVE_S * 1000) { this.live(); return; }
    if (!this.isPast) this.isPlaying = false;  // Who reaches back wants to look, first of all.
    this.moment = Math.max(start, moment);
    this.before = now;
    this.#told();
  }

  // A tenth of a second, which is a slider's own step, is too little for a key.
  #key(event) {
    const now = performance.now();
    if (event.key in KEYS_S) this.go((this.moment ?? now) + KEYS_S[event.key] * 1000);
    else if (event.key === "Home") this.go(-Infinity);
    else if (event.key === "End") this.live();
    else return;
    event.preventDefault();
  }

  live() {
    this.moment = null;
    this.isPlaying = true;
    this.#told();
  }

  toggle() {
    if (this.isPast) {
      this.isPlaying = !this.isPlaying;
      this.before = performance.now();
    } else {
      this.isPlaying = false;
      this.before = this.moment = performance.now();
    }
    this.#told();
  }

  // Time goes on: the moment to show now, null for the present.
  step(now) {
    if (!this.isPast) return null;
    if (this.isPlaying) this.moment += now - this.before;
    this.before = now;
    this.moment = Math.min(now, Math.max(this.moment, this.history.start(now) ?? now));
    return this.moment;
  }

  refresh() {
    const now = performance.now();
    const start = this.history.start(now) ?? now;
    const first = Math.min(-1, Math.max(-120, (start - now) / 1000));
    this.slider.min = first.toFixed(1);
    const seconds = this.isPast ? Math.max(first, (this.step(now) - now) / 1000) : 0;
    if (!this.slider.matches(":active")) this.slider.value = seconds.toFixed(1);
    byId("ago").textContent = inWords(seconds);
    this.slider.setAttribute("aria-valuetext", this.isPast ? `${Math.round(-seconds)} seconds ago` : "live");
    this.#marks(now, first);
  }

  #told() {
    byId("time").dataset.past = this.isPast;
    document.body.dataset.past = this.isPast;
    byId("now").setAttribute("aria-pressed", !this.isPast);
    byId("play").setAttribute("aria-label", this.isPlaying ? "Pause" : "Play");
    byId("play").dataset.playing = this.isPlaying;
    this.refresh();
    this.on.changed();
  }

  // Where the picture was broken, as strokes above the slider.
  #marks(now, first) {
    const marks = this.history.marks.filter((mark) => (mark.at - now) / 1000 > first);
    const list = byId("marks");
    while (list.children.length > marks.length) list.lastChild.remove();
    while (list.children.length < marks.length) list.append(document.createElement("i"));
    marks.forEach((mark, number) => {
      list.children[number].style.left = `${(100 * (1 - (mark.at - now) / 1000 / first)).toFixed(2)}%`;
      list.children[number].title = mark.text;
    });
  }
}

function inWords(seconds) {
  const whole = Math.round(-seconds);
  return `−${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
