// What is said about breaks of the stream: that it was away, for how long, and which chunks had to
// be shown anew because nobody could tell any more what was missed of them.
// `on`: {told(text, title), broken(chunks, text)}.

const GATHER_MS = 700;          // What one break brings along comes within this time.
const WHY = {
  out_of_range: "more was missed than the server keeps",
  slow: "this page could not keep up",
  gap: "something was missing in between",
};

export class Breaks {
  constructor(on) {
    this.on = on;
    this.since = null;          // When the stream was lost.
    this.seconds = null;        // How long it was away, until that is said.
    this.chunks = new Map();    // chunk id -> why, until that is said.
    this.timer = 0;
    this.count = 0;
  }

  lost(now) { this.since ??= now; }

  back(now) {
    if (this.since === null) return;
    this.seconds = (now - this.since) / 1000;
    this.since = null;
    this.#soon();
  }

  resync(chunks, reason) {
    this.count++;
    for (const chunk of chunks) this.chunks.set(chunk, reason);
    this.#soon();
  }

  #soon() { this.timer ||= setTimeout(() => this.#tell(), GATHER_MS); }

  #tell() {
    this.timer = 0;
    const chunks = [...this.chunks.keys()];
    const away = this.seconds === null ? "" : `Back after ${this.seconds.toFixed(1)} s`;
    if (chunks.length) {
      const text = `${away && `${away}. `}Shown anew: ${listed(chunks)}`;
      this.on.broken(chunks, text);
      this.on.told(text, [...new Set(this.chunks.values())].map((reason) => WHY[reason] ?? reason).join(", "));
    } else if (away) this.on.told(`${away}, nothing missed`, "The stream went on exactly where it had been cut.");
    this.seconds = null;
    this.chunks.clear();
  }
}

function listed(chunks) {
  if (chunks.length === 1) return `chunk ${chunks[0]}`;
  return chunks.length <= 3 ? `chunks ${chunks.join(", ")}` : `${chunks.length} chunks around ${chunks[0]}`;
}
