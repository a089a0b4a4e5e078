// The address bar as a place: #at=12,-7&zoom=14&agent=agt_... Opened elsewhere it shows the same.
// It is replaced, never added to: going back leaves the page, as it should.

const WAIT_MS = 600;            // After the last move: browsers allow some hundred changes a minute.
const COORDINATE_MAX = 2 ** 31;

// What `hash` says: {x, y, zoom, agent}, each undefined when it is not there or makes no sense.
export function readLink(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const [x, y] = (fields.get("at") ?? "").split(",").map(Number);
  const zoom = Number(fields.get("zoom"));
  const isPlace = /^-?\d+(\.\d+)?,-?\d+(\.\d+)?$/.test(fields.get("at") ?? "") && Math.max(Math.abs(x), Math.abs(y)) <= COORDINATE_MAX;
  return {
    x: isPlace ? x : undefined,
    y: isPlace ? y : undefined,
    zoom: zoom > 0 && Number.isFinite(zoom) ? zoom : undefined,
    agent: fields.get("agent") || undefined,
  };
}

// Cells are whole numbers in a link: `at` is the cell in the middle.
export function writeLink({ x, y, scale }, agent) {
  const who = agent ? `&agent=${encodeURIComponent(agent)}` : "";
  return `#at=${Math.floor(x)},${Math.floor(y)}&zoom=${Number(scale.toFixed(1))}${who}`;
}

export class Link {
  // `where` gives the link as it is now; `go` is called with what another one says.
  constructor(where, go) {
    this.where = where;
    this.timer = 0;
    addEventListener("hashchange", () => { if (location.hash !== this.where()) go(readLink(location.hash)); });
  }

  // Kept up to date from time to time while something moves, and once it has come to rest.
  changed() {
    this.timer ||= setTimeout(() => this.#write(), WAIT_MS);
  }

  #write() {
    this.timer = 0;
    if (location.hash !== this.where()) history.replaceState(null, "", this.where());
  }

  // Resolves to whether it is in the clipboard now.
  async copy() {
    this.#write();
    try {
      await navigator.clipboard.writeText(location.href);
      return true;
    } catch {
      return copyOldly(location.href);  // Pages without TLS have no clipboard.
    }
  }
}

function copyOldly(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "away";
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}
