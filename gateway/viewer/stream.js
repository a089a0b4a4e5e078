// The spectators' event stream: kept open, and moved from one list of chunks to the next without
// a pause: the old one is heard until the new one answers, and the new one goes on where it was.
//
// The browser's own EventSource reconnects with Last-Event-ID; what it gives up on is retried here.
// A connection can also fall silent without an end, which a browser does not notice, nor does it show
// the comments that say that all is well. So after QUIET_MS another one is opened beside it, as for
// another view; that costs nobody anything, and if it does not answer either, the stream is lost.
// `on`: {state(name), ready(chunks, resumed), show(static), delta(delta), resync({chunk?, reason})}.

const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 15000;
const LOOK_MS = 1000;

export class Stream {
  constructor(on) {
    this.on = on;
    this.chunks = [];
    this.position = "";     // The id of the last event heard: where any gateway can go on.
    this.source = null;     // The one that is heard.
    this.next = null;       // The one that is to take over, until it answers.
    this.retry = RETRY_MS_MIN;
    this.timer = 0;
    this.opened = 0;        // How often, for the tests.
    this.isBeginning = false;
    this.quietMs = 20000;   // Without an event: nobody moves or speaks where one looks, or nobody answers.
    this.answerMs = 8000;   // For a new one, until it counts as lost.
    this.heard = Infinity;  // When the last event came.
    this.asked = 0;         // When the one that is to take over was opened.
    setInterval(() => this.#look(), LOOK_MS);
    addEventListener("online", () => { if (this.timer) this.#open(); });
  }

  watch(chunks) {
    this.chunks = chunks;
    this.#open();
  }

  // Something is missing: have everything told anew.
  begin() {
    if (this.isBeginning) return;
    this.isBeginning = true;
    this.position = "";
    this.#open();
  }

  #open() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.next?.close();
    const source = new EventSource(this.#address());
    const chunks = this.chunks;
    this.next = source;
    this.asked = performance.now();
    this.opened++;
    const hear = (name, act) => source.addEventListener(name, (message) => {
      if (source !== this.source && source !== this.next) return;
      this.heard = performance.now();
      if (name === "session_ready") this.#take(source);
      if (message.lastEventId) this.position = message.lastEventId;
      act(JSON.parse(message.data));
    });
    hear("session_ready", ({ resumed }) => this.on.ready(chunks, Boolean(resumed)));
    hear("chunk_static", (chunk) => this.on.show(chunk));
    hear("chunk_delta", (delta) => this.on.delta(delta));
    hear("resync", (resync) => this.on.resync(resync));
    source.onerror = () => this.#failed(source);
  }

  #address() {
    const id = this.position ? `&last_event_id=${encodeURIComponent(this.position)}` : "";
    return `/v1/spectate?chunks=${encodeURIComponent(this.chunks.join(","))}${id}`;
  }

  // It answers: from here on it is the one that is heard.
  #take(source) {
    this.retry = RETRY_MS_MIN;
    if (source === this.next) {
      this.isBeginning = false;
      this.source?.close();
      this.source = source;
      this.next = null;
    }
    this.on.state("live");
  }

  #look() {
    const now = performance.now();
    const isQuiet = now - this.heard > this.quietMs;
    if (this.timer || (this.next ? now - this.asked < this.answerMs : !isQuiet)) return;
    if (this.next && (isQuiet || !this.source)) this.on.state("lost");
    this.#open();
  }

  #failed(source) {
    if (source === this.source) this.on.state("lost");
    else if (source !== this.next) return;
    else if (this.source?.readyState !== EventSource.OPEN) this.on.state("lost");
    if (source.readyState === EventSource.CLOSED) this.#openLater(source);
  }

  // The server refused (full, starting): wait longer each time, and not all at once.
  #openLater(source) {
    if (source === this.next) this.next = null;
    else if (this.next) return;  // Another one is on its way already.
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#open(), this.retry * (0.75 + Math.random() / 2));
    this.retry = Math.min(this.retry * 2, RETRY_MS_MAX);
  }
}
