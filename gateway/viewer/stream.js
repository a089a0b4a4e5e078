// The spectators' event stream: opened for a list of chunks, kept open, opened anew when it must be.
// The browser's own EventSource reconnects with Last-Event-ID; what it gives up on is retried here.

const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 15000;

export class Stream {
  // on: {state(name), show(static), apply(delta) -> whether it followed, resync(reason)}
  constructor(on) {
    this.on = on;
    this.chunks = [];
    this.source = null;
    this.retry = RETRY_MS_MIN;
    this.timer = 0;
  }

  watch(chunks) {
    this.chunks = chunks;
    this.#open();
  }

  #open() {
    clearTimeout(this.timer);
    this.source?.close();
    const source = new EventSource(`/v1/spectate?chunks=${encodeURIComponent(this.chunks.join(","))}`);
    this.source = source;
    const hear = (name, act) => source.addEventListener(name, (message) => {
      if (source === this.source) act(JSON.parse(message.data));
    });
    hear("session_ready", () => { this.retry = RETRY_MS_MIN; this.on.state("live"); });
    hear("chunk_static", (chunk) => this.on.show(chunk));
    hear("chunk_delta", (delta) => { if (!this.on.apply(delta)) this.#open(); });
    hear("resync", ({ reason }) => this.on.resync(reason));
    source.onerror = () => {
      if (source !== this.source) return;
      this.on.state("lost");
      if (source.readyState === EventSource.CLOSED) this.#openLater();
    };
  }

  // The server refused (full, starting): wait longer each time, and not all at once.
  #openLater() {
    this.timer = setTimeout(() => this.#open(), this.retry * (0.75 + Math.random() / 2));
    this.retry = Math.min(this.retry * 2, RETRY_MS_MAX);
  }
}
