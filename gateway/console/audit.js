// The audit log: who did what, and what was refused to whom; the newest first, older ones on demand.

import { call } from "./api.js";
import { byId, make } from "./elements.js";

const LIMIT = 25;

export class Audit {
  // `failed` is told of what could not be read.
  constructor(failed) {
    this.failed = failed;
    this.cursor = null;
    this.turn = 0;              // Answers to earlier questions come too late.
    byId("changes").addEventListener("change", () => this.refresh());
    byId("again").addEventListener("click", () => this.refresh());
    byId("older").addEventListener("click", () => this.#read(this.cursor));
  }

  refresh() { return this.#read(null); }

  clear() {
    this.turn++;
    byId("audit").tBodies[0].replaceChildren();
  }

  async #read(cursor) {
    const turn = ++this.turn;
    const query = new URLSearchParams({ limit: LIMIT, ...(byId("changes").checked && { changes: true }), ...(cursor && { cursor }) });
    let page;
    try {
      page = await call("GET", `/ops/audit?${query}`);
    } catch (error) {
      this.failed(error);
      return;
    }
    if (turn !== this.turn) return;
    const rows = page.items.map(row);
    if (cursor) byId("audit").tBodies[0].append(...rows);
    else byId("audit").tBodies[0].replaceChildren(...rows);
    this.cursor = page.next_cursor;
    byId("older").hidden = page.next_cursor === null;
    byId("no-audit").hidden = byId("audit").rows.length > 1;
  }
}

function row({ id, at, actor, role, action, target, result, trace_id }) {
  const time = make("time", { datetime: at, title: at, text: at.slice(0, 19).replace("T", " ") });
  return make("tr", { "data-row": id, "data-ok": result === "ok" },
    make("td", {}, time),
    make("td", {}, make("code", { text: actor }), role ? ` ${role}` : ""),
    make("td", { class: "what", text: action }),
    make("td", { text: target || "–" }),
    make("td", { class: "result", text: result }),
    make("td", {}, make("code", { text: trace_id.slice(0, 8), title: trace_id })));
}
